"""The upstream's response on its way to the client: passed on as it comes, never cut unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, cast

from aiohttp import ClientError, HttpVersion11, StreamReader, hdrs, web
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from gateway.billing.bill import Bill, CutError
from gateway.metering.events import end_of_event
from gateway.metering.reader import is_coded
from gateway.request import EdgeRequest, Outcome
from gateway.upstream import Response
from keyauthority.base.http.answer import Answer, ByteStream
from keyauthority.base.http.delivery import reset
from keyauthority.edge.envelope import Refusal

_EVENT_STREAM: Final = "text/event-stream"
_EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")
_LONGEST_EVENT_END: Final = 4
_SLICE: Final = 2 * 1024
"""Bytes of an answer that are passed on or not, by whether there are credits for them."""


async def relay(
    request: EdgeRequest,
    upstream: Response,
    head: tuple[CIMultiDict[str], bool],
    idle: float,
    bill: Bill | None = None,
) -> web.StreamResponse:
    """Answers *request* with the response of *upstream*, which *bill* reads.

    A response that breaks off is never ended as if it were whole: an event stream gets an error
    event, anything else has its connection aborted. The client gets the header fields of *head*, from
    `to_client`, and may leave the response unread for *idle* seconds.
    """
    content, (headers, is_ascii) = upstream.content, head
    if content.is_eof() and content.exception() is None:
        request.outcome = Outcome.FORWARDED
        body = content.read_nowait()
        if bill is not None:
            body = bill.read_whole(body, headers)
        return Answer(upstream.status, headers, body, is_ascii=is_ascii)
    if bill is not None:
        bill.begin_stream(headers)
    kind = web.StreamResponse if is_ascii else ByteStream
    response = kind(status=upstream.status, headers=headers)
    if request.version < HttpVersion11 and hdrs.CONTENT_LENGTH not in headers:
        # Without chunks only the end of the connection can say where the response ends.
        response.force_close()
    await response.prepare(request)
    request.client.delivery.patience = idle
    await _Stream(request, response, upstream, bill).run(content)
    return response


class _Stream:
    def __init__(
        self,
        request: EdgeRequest,
        response: web.StreamResponse,
        upstream: Response,
        bill: Bill | None,
    ) -> None:
        self._request = request
        self._bill = bill
        self._writer = cast(StreamWriter, request.writer)
        self._upstream = upstream
        self._is_event_stream = _is_open_event_stream(response)
        self._tail = b"\n\n"

    async def run(self, content: StreamReader) -> None:
        try:
            while await self._pass_on(content):
                if self._request.client.delivery.paused:
                    await self._drain()
        except _BrokenError as broken:
            self._request.outcome = Outcome.UPSTREAM_BROKE
            await self._break_off(broken.refusal)
        except CutError as cut:
            self._request.outcome = cut.refusal.code
            await self._break_off(cut.refusal)
        except asyncio.CancelledError:
            if self._request.cut is not None:
                self._request.outcome = Outcome.CUT
                await self._break_off(self._request.cut)
            elif self._request.client.interrupted:
                self._request.outcome = Outcome.STOPPED
                await self._break_off(Refusal.UPSTREAM_UNAVAILABLE)
            else:
                raise
        else:
            self._request.outcome = Outcome.FORWARDED

    async def _pass_on(self, content: StreamReader) -> bool:
        # A function of its own, so that no chunk is held for as long as its client takes to read it.
        try:
            chunk = await content.readany()
        except TimeoutError:
            raise _BrokenError(Refusal.UPSTREAM_TIMEOUT) from None
        except (ClientError, OSError):
            # Apart from writing, where a client that left raises the same errors.
            raise _BrokenError(Refusal.UPSTREAM_UNAVAILABLE) from None
        more, bill = bool(chunk), self._bill
        if bill is not None:
            if not more:
                chunk = bill.read_end()
            elif len(chunk) > _SLICE:
                chunk = await self._metered(bill, chunk)
            else:
                # As nearly all are.
                chunk = bill.read(chunk)
                if bill.is_short:
                    await self._extend(bill, b"", chunk)
        if not chunk:
            return more
        if self._is_event_stream:
            self._tail = (self._tail + chunk)[-_LONGEST_EVENT_END:]
        await self._writer.write(chunk, drain=False)
        return more

    async def _metered(self, bill: Bill, chunk: bytes) -> bytes:
        # Returns what of the answer goes on, once credits are held for it.
        passed, start = b"", 0
        while start < len(chunk):
            # Whole events are read faster.
            at = chunk.rfind(b"\n\n", start, start + _SLICE)
            end = at + 2 if at >= 0 else start + _SLICE
            piece = bill.read(chunk[start:end])
            if bill.is_short:
                await self._extend(bill, passed, piece + chunk[end:])
            passed += piece
            start = end
        return passed

    async def _extend(self, bill: Bill, passed: bytes, following: bytes) -> None:
        try:
            if not bill.try_extend():
                await self._unread(bill.extend())
        except CutError:
            await self._end_event(passed, following)
            raise

    async def _end_event(self, passed: bytes, following: bytes) -> None:
        # Passes on what is paid for, and brings its last event to an end: else nothing could be said
        # after it.
        text, begun = self._tail + passed + following, len(self._tail) + len(passed)
        if not self._is_event_stream or text[:begun].endswith(_EVENT_ENDS):
            end = begun
        else:
            end = end_of_event(text, 0)
            while 0 < end < begun:
                end = end_of_event(text, end)
        sent = text[len(self._tail) : max(begun, end)]
        self._tail = (self._tail + sent)[-_LONGEST_EVENT_END:]
        if sent:
            await self._writer.write(sent, drain=False)

    async def _drain(self) -> None:
        await self._unread(self._writer.drain())

    async def _unread(self, wait: Awaitable[None]) -> None:
        # The upstream's connection is not read meanwhile: else as much again would wait here.
        self._upstream.pause()
        try:
            await wait
        finally:
            self._upstream.resume()

    async def _break_off(self, refusal: Refusal) -> None:
        # No error event goes into an event, which the client would take for whole, nor to a client
        # that does not read, which would have to be waited for.
        between_events = self._is_event_stream and self._tail.endswith(_EVENT_ENDS)
        if between_events and not self._request.client.delivery.paused:
            await self._writer.write(f"event: error\ndata: {refusal.json}\n\n".encode())
        else:
            abort(self._request)


def abort(request: EdgeRequest) -> None:
    """Closes the client's connection so that it takes what it has got for no whole response."""
    transport = request.transport
    if transport is None:
        return
    # A reset, since an orderly close is the end of a response that ends with its connection.
    if request.version < HttpVersion11:
        reset(transport)
    transport.abort()


class _BrokenError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal


def _is_open_event_stream(response: web.StreamResponse) -> bool:
    headers = response.headers
    return (
        headers.get(hdrs.CONTENT_TYPE, "").lower().startswith(_EVENT_STREAM)
        and not is_coded(headers.get(hdrs.CONTENT_ENCODING, ""))
        and hdrs.CONTENT_LENGTH not in headers
    )
