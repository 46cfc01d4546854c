"""The request body on its way to the upstream: counted, timed, never collected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import Payload, web
from aiohttp.abc import AbstractStreamWriter

from gateway.config import Limits
from gateway.envelope import Refusal
from gateway.head import expects_continue
from gateway.request import EdgeRequest

# Seconds of waiting for the client before its average speed counts.
_RATE_GRACE: Final = 10.0
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def open_body(request: EdgeRequest, limits: Limits) -> bytes | RequestBody | Refusal | None:
    """Return what to send upstream as the body of *request*.

    Returns:
        None without a body, bytes if it is small and all there, a `RequestBody` to stream otherwise, or why the body is refused already.
    """
    content = request.content
    declared = request.content_length
    if declared is not None and declared > limits.max_body_bytes:
        return Refusal.REQUEST_TOO_LARGE
    if content.is_eof() and content.exception() is None:
        arrived = content.read_nowait()
        return (
            arrived or None if len(arrived) <= limits.max_body_bytes else Refusal.REQUEST_TOO_LARGE
        )
    return RequestBody(request, limits)


class RequestBody(Payload):
    """A body that is passed on as it arrives.

    The first breach of a limit ends it: `failure` says which, and `on_failure` is called, since
    the upstream may already be answering while the client still sends.
    """

    # A body that has begun cannot be sent a second time; nothing of it needs closing.
    _autoclose = True

    def __init__(self, request: EdgeRequest, limits: Limits) -> None:
        super().__init__(request.content)
        self._request = request
        self._limits = limits
        self._received = 0
        self._waited = 0.0
        self.failure: Refusal | None = None
        self.on_failure: Callable[[], None] = _nothing
        # Called for each piece that was passed on.
        self.on_progress: Callable[[], None] = _nothing

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Pass the body on; aiohttp calls this once the head of the request is on its way."""
        self._consumed = True
        # Else they would wait for the first piece, and the upstream with them.
        writer.send_headers()
        if expects_continue(self._request):
            await self._invite()
        while chunk := await self._next_chunk():
            await writer.write(chunk)
            self.on_progress()

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,
    ) -> None:
        """Pass the body on; the parser holds the client to the length it declared."""
        await self.write(writer)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Refused: the text of a stream is not known."""
        raise TypeError("a streamed body has no text")

    async def _invite(self) -> None:
        client = self._request.writer
        await client.write(_CONTINUE)
        # An interim response: the real one has not begun.
        client.output_size = 0

    async def _next_chunk(self) -> bytes:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        try:
            async with asyncio.timeout(self._limits.body_timeout):
                chunk = await self._request.content.readany()
        except TimeoutError:
            self._fail(Refusal.REQUEST_TIMEOUT)
        except web.RequestPayloadError:
            self._fail(Refusal.BAD_REQUEST)
        self._waited += loop.time() - asked
        self._received += len(chunk)
        if self._received > self._limits.max_body_bytes:
            self._fail(Refusal.REQUEST_TOO_LARGE)
        if self._is_too_slow():
            self._fail(Refusal.REQUEST_TIMEOUT)
        return chunk

    def _is_too_slow(self) -> bool:
        # Only time spent waiting for the client counts, not time the upstream did not read.
        return (
            self._waited > _RATE_GRACE
            and self._received < self._waited * self._limits.min_body_rate
        )

    def _fail(self, refusal: Refusal) -> None:
        self.failure = refusal
        self.on_failure()
        raise _BodyError(refusal.code)


class _BodyError(Exception):
    pass


def _nothing() -> None:
    pass
