"""Forwarding an accepted request to the upstream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from aiohttp import ClientError, ClientResponse, ClientSession, hdrs, web
from yarl import URL

from gateway.billing.bill import Bill
from gateway.billing.reading_on import ReadingOn
from gateway.config import Timeouts
from gateway.envelope import Refusal
from gateway.headers import Allowlist, to_client, to_upstream
from gateway.observe import Complaint, Timings
from gateway.pool import UnsolicitedError
from gateway.relay import relay
from gateway.request import EdgeRequest, Grant, RequestBody, do_nothing
from gateway.upstream import SMALL, Outgoing, outgoing
from keyauthority.client import Secret

# These are about the gateway itself, its credential or its address, never about its client.
_NOT_FOR_CLIENTS: Final = frozenset({401, 403, 407})
_NOT_MODIFIED: Final = 304
_FIRST_FINAL_STATUS: Final = 200


@dataclass(slots=True, eq=False)
class Forwarder:
    """Sends accepted requests to one upstream and streams its answers back."""

    # From `upstream_session`.
    session: ClientSession
    # What stands before `/v1/...` in the upstream's URLs.
    base: str
    # The upstream's own API key, or None if it wants none.
    credential: Secret | None
    # Which header fields of requests go on.
    allowlist: Allowlist
    timeouts: Timeouts
    # Where the seconds to the upstream's headers are observed.
    first_byte: Timings
    # Reads the answers on that are charged, after their clients have left.
    reading_on: ReadingOn
    _complaint: Complaint = field(default_factory=partial(Complaint, "upstream_failed"))

    async def forward(
        self,
        request: EdgeRequest,
        grant: Grant,
        body: bytes | RequestBody | None,
        bill: Bill | None = None,
    ) -> web.StreamResponse | Refusal:
        """Returns the upstream's response, already under way to the client, or a refusal.

        *bill* is told when the request is sent, and reads what it cost out of the response.

        Raises:
            VerdictLapsedError: *grant* no longer held once the upstream was connected. Nothing
                was sent to it, and *body* is as it was.
        """
        headers = to_upstream(
            request.headers, self.allowlist, grant.key, request.id, self.credential
        )
        if headers is None:
            return Refusal.BAD_REQUEST
        if isinstance(body, RequestBody) and body.length is not None:
            headers[hdrs.CONTENT_LENGTH] = str(body.length)
        if bill is not None:
            # What is compressed can't be metered.
            headers[hdrs.ACCEPT_ENCODING] = "identity"
        small = body if isinstance(body, bytes) and len(body) <= SMALL else b""
        on_send = do_nothing if bill is None else bill.note_sending
        outgoing.set(Outgoing(grant.holds, headers, small, on_send))
        upstream = await self._send(request, None if small else body)
        if isinstance(upstream, Refusal):
            return upstream
        try:
            return await self._relay(request, upstream, body, bill)
        except (asyncio.CancelledError, ConnectionError):
            if bill is not None and request.cut is None and not request.client.interrupted:
                await self.reading_on.read(upstream.content, bill)
            raise
        finally:
            if not upstream.closed:
                upstream.close()

    async def _send(
        self, request: EdgeRequest, body: bytes | RequestBody | None
    ) -> ClientResponse | Refusal:
        start = time.perf_counter()
        try:
            if isinstance(body, RequestBody):
                upstream = await self._send_stream(request, body)
            else:
                upstream = await self._send_retrying(request, body)
        except (TimeoutError, ClientError, OSError) as error:
            if isinstance(body, RequestBody) and body.failure is not None:
                return body.failure
            # The text of an error may quote the upstream; its name tells enough.
            self._complaint.log(type(error).__name__)
            late = isinstance(error, TimeoutError)
            return Refusal.UPSTREAM_TIMEOUT if late else Refusal.UPSTREAM_UNAVAILABLE
        self.first_byte.observe(time.perf_counter() - start)
        return upstream

    async def _send_stream(self, request: EdgeRequest, body: RequestBody) -> ClientResponse:
        # The session times what it reads. That an upstream does not read is noticed here.
        patience, loop = self.timeouts.first_byte_timeout, asyncio.get_running_loop()
        async with asyncio.timeout(patience) as deadline:
            body.on_progress = lambda: deadline.reschedule(loop.time() + patience)
            upstream = await self._send_retrying(request, body)
            body.on_progress = do_nothing
        return upstream

    async def _send_retrying(
        self, request: EdgeRequest, body: bytes | RequestBody | None
    ) -> ClientResponse:
        try:
            return await self._request(request, body)
        except UnsolicitedError:
            # The connection was no good, and nothing of the request was sent.
            return await self._request(request, body)

    def _request(
        self, request: EdgeRequest, body: bytes | RequestBody | None
    ) -> Awaitable[ClientResponse]:
        return self.session.request(
            request.method,
            URL(self.base + request.raw_path, encoded=True),
            data=body,
            allow_redirects=False,
        )

    async def _relay(
        self,
        request: EdgeRequest,
        upstream: ClientResponse,
        body: bytes | RequestBody | None,
        bill: Bill | None,
    ) -> web.StreamResponse | Refusal:
        status = upstream.status
        if bill is not None:
            bill.note_answer(status, upstream.headers)
        if status < _FIRST_FINAL_STATUS or status in _NOT_FOR_CLIENTS or _is_redirect(status):
            self._complaint.log(f"it answered {status}")
            return Refusal.UPSTREAM_UNAVAILABLE
        if isinstance(body, RequestBody):
            body.on_failure = upstream.close
        connection = upstream.connection
        if connection is not None and connection.protocol is not None:
            # None once the whole response is here.
            connection.protocol.read_timeout = self.timeouts.idle_timeout
            connection.protocol.start_timeout()
        headers = to_client(upstream.headers)
        if headers is None:
            self._complaint.log("it answered with malformed headers")
            return Refusal.UPSTREAM_UNAVAILABLE
        is_here = upstream.content.is_eof()
        if bill is not None and not is_here and bill.waits_for_whole(upstream.headers):
            refusal = await self._receive(upstream)
            if refusal is not None:
                return refusal
        return await relay(request, upstream, headers, self.timeouts.idle_timeout, bill)

    async def _receive(self, upstream: ClientResponse) -> Refusal | None:
        # Returns once the whole response is here, or why it will never be.
        try:
            await upstream.content.wait_eof()
        except TimeoutError:
            return Refusal.UPSTREAM_TIMEOUT
        except (ClientError, OSError) as error:
            self._complaint.log(type(error).__name__)
            return Refusal.UPSTREAM_UNAVAILABLE
        return None


def _is_redirect(status: int) -> bool:
    # Following one would take the credential elsewhere; passing it on would send the client past
    # the gateway. Not Modified redirects nobody.
    return 300 <= status < 400 and status != _NOT_MODIFIED  # noqa: PLR2004
