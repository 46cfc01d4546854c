"""One request at the edge: what its head must be, its body, and the right to act that it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain
from typing import Final, NoReturn

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter

from gateway.bearer import Presented
from gateway.config import Limits
from keyauthority.base.http.request import Request
from keyauthority.client import VerifiedKey
from keyauthority.edge.envelope import Refusal

# TRACE would echo the credential that the upstream gets back to the client.
_REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE"})
_VERSIONS: Final = (HttpVersion11, HttpVersion10)
WEBSOCKET: Final = "websocket"
_EXPECTATION: Final = "100-continue"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_PIECE: Final = 64 * 1024
"""Bytes of a body in memory that are written at a time."""


class Outcome:
    """How a request ends, for log and metrics; one that is refused ends with the refusal's code."""

    # The upstream answered, whatever its status.
    FORWARDED: Final = "forwarded"
    # A proxy's sub-request was answered yes.
    AUTHORIZED: Final = "authorized"
    # A key was told about itself.
    DESCRIBED: Final = "described"
    # /healthz and /readyz.
    PROBE: Final = "probe"
    # A browser was told which pages may call.
    PREFLIGHT: Final = "preflight"
    # The client was gone, or stopped reading, before it had its answer.
    CLIENT_LEFT: Final = "client_left"
    # The upstream's response broke off after it had begun.
    UPSTREAM_BROKE: Final = "upstream_broke"
    # The request was cut off because its key died, or because the gateway stopped.
    CUT: Final = "cut"
    STOPPED: Final = "stopped"


class EdgeRequest(Request):
    """A request as its client sent it, and what the gateway learnt about it."""

    # Names that aiohttp's debug mode accepts as attributes.
    ATTRS = Request.ATTRS | frozenset(
        {"cut", "detail", "from_page", "handshake", "key", "on_new_key", "outcome", "presented"}
    )

    # The secret that it presents, once parsed.
    presented: Presented | None = None
    # The key that the secret belongs to, once verified.
    key: VerifiedKey | None = None
    # Is called when `key` is what a later verdict says of it.
    on_new_key: Callable[[], None] = staticmethod(lambda: None)
    # One of `Outcome`, or a refusal's code.
    outcome = ""
    # What its client is told when its task is cancelled because its key died.
    cut: Refusal | None = None
    # What its refusal says beyond its row; empty for most.
    detail = ""
    # Whether it comes from a page that may call (`--cors-origin`).
    from_page = False
    # The header lines that ask for a websocket; empty if it asks for none.
    handshake: tuple[bytes, ...] = ()


class Grant:
    """The right of *key* to act, for as long as `holds()` says so."""

    __slots__ = ("holds", "key")

    def __init__(self, key: VerifiedKey, holds: Callable[[], bool]) -> None:
        self.key = key
        self.holds = holds


def check_head(request: EdgeRequest, limits: Limits) -> Refusal | None:
    """Returns why the head of *request* is not acceptable; None if it is.

    The parser has already refused what is not HTTP/1. Refused here is what two parsers in a row
    may understand differently (RFC 9112, section 6.1), what would turn the connection into
    something else, a fragment, and what is too large. An offer of another protocol (`Upgrade`) is nothing to
    refuse: whoever makes it goes on in HTTP/1.1 if it is ignored (RFC 9110, section 7.8).
    """
    headers = request.headers
    if request.version not in _VERSIONS:
        return Refusal.BAD_REQUEST
    if request.method in _REFUSED_METHODS or "#" in request.raw_path:
        return Refusal.BAD_REQUEST
    if hdrs.TRANSFER_ENCODING in headers and not _is_plainly_chunked(request):
        return Refusal.BAD_REQUEST
    if hdrs.EXPECT in headers and headers[hdrs.EXPECT].lower() != _EXPECTATION:
        return Refusal.BAD_REQUEST
    if request.client.large_head and _size(request) > limits.max_header_bytes:
        return Refusal.HEADERS_TOO_LARGE
    return None


def asks_for_websocket(request: EdgeRequest) -> bool:
    """Returns whether *request* begins a websocket, whose client can do nothing with another answer."""
    offers = request.headers.getall(hdrs.UPGRADE, ())
    return any(offer.strip().lower() == WEBSOCKET for offer in ",".join(offers).split(","))


def _is_plainly_chunked(request: EdgeRequest) -> bool:
    codings = [value.lower() for value in request.headers.getall(hdrs.TRANSFER_ENCODING)]
    alone = hdrs.CONTENT_LENGTH not in request.headers
    return codings == ["chunked"] and alone and request.version == HttpVersion11


def _size(request: EdgeRequest) -> int:
    fields = request.raw_headers
    # ": " and the line's end are part of a field.
    return len(request.raw_path) + sum(map(len, chain.from_iterable(fields))) + 4 * len(fields)


def open_body(request: EdgeRequest, limits: Limits) -> bytes | RequestBody | Refusal | None:
    """Returns what to send upstream as the body of *request*, or why the body is refused.

    None stands for no body, bytes for one that has arrived, a `RequestBody` for one to stream.
    """
    content = request.content
    declared = request.content_length
    if declared is not None and declared > limits.max_body_bytes:
        return Refusal.REQUEST_TOO_LARGE
    if content.is_eof() and content.exception() is None:
        body = content.read_nowait()
        return body or None if len(body) <= limits.max_body_bytes else Refusal.REQUEST_TOO_LARGE
    return RequestBody(request, limits)


class RequestBody:
    """A body that is passed on as it arrives.

    The first breach of a limit ends it: `failure` says which, and `on_failure` is called, since
    the upstream may already be answering while the client still sends.
    """

    def __init__(self, request: EdgeRequest, limits: Limits) -> None:
        self._request = request
        self._limits = limits
        self._waited = 0.0
        # What was read before it is passed on.
        self._ahead = b""
        self._invited = False
        # Bytes that came from the client so far.
        self.received = 0
        # How many bytes are passed on; None if the client did not say.
        self.length = request.content_length
        # Whether it is being passed on, which cannot be done a second time, and whether all of it was.
        self.begun = False
        self.complete = False
        self.failure: Refusal | None = None
        self.on_failure: Callable[[], None] = do_nothing
        # Called for each piece that was passed on.
        self.on_progress: Callable[[], None] = do_nothing
        # Called when nothing is here any more of what was read ahead.
        self.on_release: Callable[[], None] = do_nothing

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Passes the body on, behind the head of the request.

        The parser holds the client to the length it declared.
        """
        self.begun = True
        for start in range(0, len(self._ahead), _PIECE):
            await writer.write(self._ahead[start : start + _PIECE])
            self.on_progress()
        # The answer may take minutes, for which nobody needs it.
        self.release()
        await self._invite()
        while chunk := await self._next_chunk():
            await writer.write(chunk)
            self.on_progress()
        self.complete = True

    async def read(self, most: int, admits: Callable[[int], bool]) -> bytes | None:
        """Returns all of the body if that is *most* bytes or less; None if it is more.

        *admits* is asked about the size of each piece. After one that it does not admit nothing more
        is read, and None returned. What was read is passed on all the same; `release` forgets it.

        Raises:
            BodyError: The body broke a limit; `failure` says which.
        """
        if self.length is not None and self.length > most:
            return None
        await self._invite()
        pieces: list[bytes] = []
        admitted = True
        while admitted and self.received <= most and (chunk := await self._next_chunk()):
            pieces.append(chunk)
            admitted = admits(len(chunk))
        self._ahead = b"".join(pieces)
        return self._ahead if admitted and self.received <= most else None

    def replace(self, content: bytes) -> None:
        """Passes *content* on instead of what `read` returned."""
        self._ahead, self.length = content, len(content)

    def release(self) -> None:
        """Forgets what was read ahead: it was passed on, or nobody will."""
        self._ahead = b""
        self.on_release()

    async def _invite(self) -> None:
        request = self._request
        if self._invited or hdrs.EXPECT not in request.headers or request.version < HttpVersion11:
            return
        self._invited = True
        client = request.writer
        await client.write(_CONTINUE)
        # An interim response: the real one has not begun.
        client.output_size = 0

    async def _next_chunk(self) -> bytes:
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            async with asyncio.timeout(self._limits.body_timeout):
                chunk = await self._request.content.readany()
        except TimeoutError:
            self._fail(Refusal.REQUEST_TIMEOUT)
        except web.RequestPayloadError:
            self._fail(Refusal.BAD_REQUEST)
        self._waited += loop.time() - start
        self.received += len(chunk)
        if self.received > self._limits.max_body_bytes:
            self._fail(Refusal.REQUEST_TOO_LARGE)
        if self._is_too_slow():
            self._fail(Refusal.REQUEST_TIMEOUT)
        return chunk

    def _is_too_slow(self) -> bool:
        # Only time spent waiting for the client counts, not time the upstream did not read.
        limits = self._limits
        return (
            self._waited > limits.body_rate_grace
            and self.received < self._waited * limits.min_body_rate
        )

    def _fail(self, refusal: Refusal) -> NoReturn:
        self.failure = refusal
        self.on_failure()
        raise BodyError(refusal.code)


class BodyError(Exception):
    """A body broke a limit."""


def do_nothing() -> None:
    """Stands for a call that nobody wants."""
