"""Forwarding an accepted request to the upstream."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from aiohttp import ClientError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.allowlist import Allowlist
from gateway.billing.bill import Bill
from gateway.billing.reading_on import ReadingOn
from gateway.config import Timeouts
from gateway.handshake import Switched, is_accepted
from gateway.headers import to_client, to_upstream
from gateway.observe import Complaint, Timings
from gateway.redirects import REPEATING, location_here
from gateway.relay import relay
from gateway.request import EdgeRequest, Grant, RequestBody, do_nothing
from gateway.response_heads import SWITCHING_PROTOCOLS
from gateway.tunnel import Times, Tunnel
from gateway.upstream import Outgoing, Response, Upstream
from keyauthority.client import Secret
from keyauthority.edge.envelope import Refusal

# These are about the gateway's own credential. All other errors are the client's, body and all: a 403 is
# that of a prompt that may not be answered.
_NOT_FOR_CLIENTS: Final = frozenset({401, 407})
_NOT_MODIFIED: Final = 304
_SUCCESSES: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)


@dataclass(slots=True, eq=False)
class Forwarder:
    """Sends accepted requests to one upstream and streams its answers back."""

    upstream: Upstream
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

        *bill* is told when the request is sent, and reads what it cost out of the response. Of a handshake it
        is told only that a websocket was opened: all other answers to that cost nothing.

        Raises:
            VerdictLapsedError: *grant* no longer held once the upstream was connected. Nothing
                was sent to it, and *body* is as it was.
        """
        lines = to_upstream(
            request.headers,
            request.raw_headers,
            self.allowlist,
            grant.key,
            request.id,
            self.credential,
            # What is compressed can't be metered.
            uncoded=bill is not None,
        )
        handshake = request.handshake
        if handshake:
            lines += handshake
        head = self.upstream.head(request.method, request.raw_path, lines, body)
        if head is None:
            return Refusal.BAD_REQUEST
        on_send = do_nothing if bill is None or handshake else bill.note_sending
        response = await self._send(
            Outgoing(request.method, head, body, grant.holds, on_send, bool(handshake))
        )
        if isinstance(response, Refusal):
            return response
        if handshake and response.status == SWITCHING_PROTOCOLS:
            return await self._switch(request, response, bill)
        if handshake:
            bill = None
        try:
            return await self._relay(request, response, body, bill)
        except (asyncio.CancelledError, ConnectionError):
            if bill is not None and request.cut is None and not request.client.interrupted:
                await self.reading_on.read(response.content, bill)
            raise
        finally:
            response.close()

    async def _switch(
        self, request: EdgeRequest, upstream: Response, bill: Bill | None
    ) -> web.StreamResponse | Refusal:
        # Returns once the websocket has ended.
        connection, head = upstream.switched(), to_client(upstream.headers)
        if head is None or not is_accepted(request, upstream.headers):
            connection.close()
            malformed = "it answered with malformed headers"
            self._complaint.log(
                malformed if head is None else "it answered 101 to another question"
            )
            return Refusal.UPSTREAM_UNAVAILABLE
        headers, _ = head
        try:
            if bill is not None:
                # At once: it may last for long.
                bill.end_opened(upstream.status, headers)
            answer = Switched(headers)
            answer.begin(request)
        except BaseException:
            connection.close()
            raise
        times = Times(self.timeouts.idle_timeout, self.timeouts.websocket_lifetime)
        await Tunnel(request, connection, times).run()
        return answer

    async def _send(self, request: Outgoing) -> Response | Refusal:
        start = time.perf_counter()
        try:
            response = await self.upstream.send(request)
        except (TimeoutError, ClientError, HttpProcessingError, OSError) as error:
            if isinstance(request.body, RequestBody) and request.body.failure is not None:
                return request.body.failure
            # The text of an error may quote the upstream; its name tells enough.
            self._complaint.log(type(error).__name__)
            late = isinstance(error, TimeoutError)
            return Refusal.UPSTREAM_TIMEOUT if late else Refusal.UPSTREAM_UNAVAILABLE
        self.first_byte.observe(time.perf_counter() - start)
        return response

    async def _relay(
        self,
        request: EdgeRequest,
        upstream: Response,
        body: bytes | RequestBody | None,
        bill: Bill | None,
    ) -> web.StreamResponse | Refusal:
        status = upstream.status
        if bill is not None:
            bill.note_answer(status, upstream.headers)
        location = None
        if status not in _SUCCESSES:
            location = self._location(request, upstream)
            if location is None and not _is_for_client(status):
                self._complaint.log(f"it answered {status}")
                return Refusal.UPSTREAM_UNAVAILABLE
        if isinstance(body, RequestBody):
            body.on_failure = upstream.close
        upstream.wait_for(self.timeouts.idle_timeout)
        head = to_client(upstream.headers)
        if head is None:
            self._complaint.log("it answered with malformed headers")
            return Refusal.UPSTREAM_UNAVAILABLE
        if location is not None:
            head[0][hdrs.LOCATION] = location
        is_here = upstream.content.is_eof()
        if bill is not None and not is_here and bill.waits_for_whole(upstream.headers):
            refusal = await self._receive(upstream)
            if refusal is not None:
                return refusal
        return await relay(request, upstream, head, self.timeouts.idle_timeout, bill)

    def _location(self, request: EdgeRequest, upstream: Response) -> str | None:
        # Where the client is redirected to; None if it is not.
        named = upstream.headers.getall(hdrs.LOCATION, ())
        if upstream.status not in REPEATING or len(named) != 1:
            return None
        return location_here(self.upstream.base, request.raw_path, named[0])

    async def _receive(self, upstream: Response) -> Refusal | None:
        # Returns once the whole response is here, or why it will never be.
        try:
            await upstream.content.wait_eof()
        except TimeoutError:
            return Refusal.UPSTREAM_TIMEOUT
        except (ClientError, OSError) as error:
            self._complaint.log(type(error).__name__)
            return Refusal.UPSTREAM_UNAVAILABLE
        return None


def _is_for_client(status: int) -> bool:
    # Whether a status that is no success is about the client's request. A redirect would send it past the
    # gateway; Not Modified redirects nobody.
    if status in _REDIRECTS:
        return status == _NOT_MODIFIED
    return status >= _REDIRECTS.stop and status not in _NOT_FOR_CLIENTS
