"""Forwarding an accepted request to the upstream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from aiohttp import (
    ClientError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    hdrs,
    web,
)
from multidict import CIMultiDict
from yarl import URL

from gateway.authorize import Grant
from gateway.body import RequestBody
from gateway.complaint import Complaint
from gateway.config import Timeouts
from gateway.envelope import Refusal
from gateway.headers import to_client, to_upstream
from gateway.metrics import Timings
from gateway.relay import relay
from gateway.request import EdgeRequest
from keyauthority.client import Secret

if TYPE_CHECKING:
    from aiohttp.connector import Connection

# Shorter than what servers keep idle connections for: a request sent into a connection that is
# just being closed fails, and one with a body cannot be repeated.
_KEEPALIVE: Final = 4.0
# Answers about the gateway itself, its credential or its address, never about its client.
_NOT_FOR_CLIENTS: Final = frozenset({101, 401, 403, 407})
_NOT_MODIFIED: Final = 304
_NO_CONTENT_TYPE: Final = CIMultiDict({hdrs.CONTENT_TYPE: None})

_grant: ContextVar[Grant] = ContextVar("grant")


class VerdictLapsedError(Exception):
    """The verdict no longer held when the upstream was about to be contacted."""


@asynccontextmanager
async def upstream_session(timeouts: Timeouts) -> AsyncIterator[ClientSession]:
    """Open the client session for a `Forwarder`: no cookies, no redirects, nothing decoded."""
    async with ClientSession(
        connector=TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE),
        timeout=ClientTimeout(
            total=None,
            sock_connect=timeouts.connect_timeout,
            sock_read=timeouts.first_byte_timeout,
        ),
        request_class=_CheckedRequest,
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
    ) as session:
        yield session


class Forwarder:
    """Sends accepted requests to one upstream and streams its answers back.

    Args:
        session: From `upstream_session`.
        base: What stands before `/v1/...` in the upstream's URLs.
        credential: The upstream's own API key, or None if it wants none.
        timeouts: How long the upstream may take.
        first_byte: Where the time to the upstream's headers is observed, in seconds.
    """

    def __init__(
        self,
        session: ClientSession,
        base: str,
        credential: Secret | None,
        timeouts: Timeouts,
        first_byte: Timings,
    ) -> None:
        self._session = session
        self._base = base
        self._credential = credential
        self._timeouts = timeouts
        self._first_byte = first_byte
        self._complaint = Complaint("the upstream failed")

    async def forward(
        self, request: EdgeRequest, grant: Grant, body: bytes | RequestBody | None
    ) -> web.StreamResponse | Refusal:
        """Return the upstream's response, already under way to the client, or a refusal.

        Raises:
            VerdictLapsedError: *grant* no longer held once the upstream was connected. Nothing
                was sent to it, and *body* is as it was.
        """
        headers = to_upstream(request.headers, grant.key, request.id, self._credential)
        if headers is None:
            return Refusal.BAD_REQUEST
        if isinstance(body, RequestBody) and hdrs.CONTENT_LENGTH in request.headers:
            headers[hdrs.CONTENT_LENGTH] = request.headers[hdrs.CONTENT_LENGTH]
        _grant.set(grant)
        upstream = await self._send(request, headers, body)
        if isinstance(upstream, Refusal):
            return upstream
        try:
            return await self._pass_on(request, upstream, body)
        finally:
            if not upstream.closed:
                upstream.close()

    async def _send(
        self, request: EdgeRequest, headers: CIMultiDict[str], body: bytes | RequestBody | None
    ) -> ClientResponse | Refusal:
        sent = time.perf_counter()
        try:
            if isinstance(body, RequestBody):
                upstream = await self._send_stream(request, headers, body)
            else:
                upstream = await self._request(request, headers, body)
        except (TimeoutError, ClientError, OSError) as error:
            if isinstance(body, RequestBody) and body.failure is not None:
                return body.failure
            return self._failed(error)
        self._first_byte.observe(time.perf_counter() - sent)
        return upstream

    def _failed(self, error: Exception) -> Refusal:
        # The text of an error may quote what the upstream said; its name tells enough.
        self._complaint.make(type(error).__name__)
        late = isinstance(error, TimeoutError)
        return Refusal.UPSTREAM_TIMEOUT if late else Refusal.UPSTREAM_UNAVAILABLE

    async def _send_stream(
        self, request: EdgeRequest, headers: CIMultiDict[str], body: RequestBody
    ) -> ClientResponse:
        # The session times what it reads. That an upstream does not read is ours to notice.
        patience, loop = self._timeouts.first_byte_timeout, asyncio.get_running_loop()
        async with asyncio.timeout(patience) as deadline:
            body.on_progress = lambda: deadline.reschedule(loop.time() + patience)
            upstream = await self._request(request, headers, body)
            body.on_progress = _nothing
        return upstream

    def _request(
        self, request: EdgeRequest, headers: CIMultiDict[str], body: bytes | RequestBody | None
    ) -> Awaitable[ClientResponse]:
        return self._session.request(
            request.method,
            URL(self._base + request.raw_path, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
        )

    async def _pass_on(
        self, request: EdgeRequest, upstream: ClientResponse, body: bytes | RequestBody | None
    ) -> web.StreamResponse | Refusal:
        if upstream.status in _NOT_FOR_CLIENTS or _is_redirect(upstream.status):
            self._complaint.make(f"it answered {upstream.status}")
            return Refusal.UPSTREAM_UNAVAILABLE
        if isinstance(body, RequestBody):
            body.on_failure = upstream.close
        connection = upstream.connection
        if connection is not None and connection.protocol is not None:
            # None once the whole response is here.
            connection.protocol.read_timeout = self._timeouts.idle_timeout
            connection.protocol.start_timeout()
        headers = to_client(upstream.headers)
        if headers is None:
            self._complaint.make("it answered with malformed headers")
            return Refusal.UPSTREAM_UNAVAILABLE
        return await relay(request, upstream, headers, self._timeouts.idle_timeout)


class _CheckedRequest(ClientRequest):
    def update_auto_headers(self, _: object) -> None:
        # Nothing of aiohttp's own is added: a header that the client did not send is not sent.
        self._skip_auto_headers = _NO_CONTENT_TYPE

    # aiohttp calls `send` with a connection in hand and before each attempt: the last moment at
    # which nothing has been said to the upstream yet.

    async def send(self, conn: Connection) -> ClientResponse:
        if not _grant.get().holds():
            raise VerdictLapsedError
        return await super().send(conn)


def _is_redirect(status: int) -> bool:
    # Following one would take the credential elsewhere; passing it on would send the client past
    # the gateway. Not Modified redirects nobody.
    return 300 <= status < 400 and status != _NOT_MODIFIED  # noqa: PLR2004


def _nothing() -> None:
    pass
