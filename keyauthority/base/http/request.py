"""One request, and the client that sent it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from random import getrandbits
from typing import Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from multidict import istr

from keyauthority.base.http.delivery import Delivery

REQUEST_ID: Final = istr("x-request-id")

_is_sane_id = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII).fullmatch


class Client:
    """The other end of one connection.

    Args:
        transport: The connection.
        delivery: What waits for the client.
        leaving: Whether the service is about to stop.
    """

    __slots__ = ("delivery", "interrupted", "large_head", "leaving", "transport")

    def __init__(self, transport: asyncio.Transport, delivery: Delivery, *, leaving: bool) -> None:
        self.transport = transport
        self.delivery = delivery
        self.leaving = leaving
        # Set when the handler is cancelled because the service stops, not because the client left.
        self.interrupted = False
        # Whether a head may have been over the limit: it came with that many bytes, of which
        # some may be of its body. Saves all others the counting.
        self.large_head = False


class Request(web.BaseRequest):
    """A request as its client sent it, with its id and what becomes of it."""

    # Names that aiohttp's debug mode accepts as attributes.
    ATTRS = web.BaseRequest.ATTRS | frozenset({"client", "id", "on_end", "started"})

    # Called once when its answer is written or given up.
    on_end: Callable[[], None] | None = None

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
        loop: asyncio.AbstractEventLoop,
        client: Client,
        secret_mark: str,
    ) -> None:
        super().__init__(message, payload, protocol, writer, task, loop)
        self.client = client
        self.id = request_id(message.headers.get(REQUEST_ID), secret_mark)
        self.started = time.perf_counter()

    def end(self) -> None:
        """Note that its answer is written, or never will be."""
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            on_end()

    @property
    def content_length(self) -> int | None:
        """The length that the client declared for the body, in bytes; None if it declared none.

        The parser has refused what is no number of 64 bits, but not thousands of zeros before it.
        """
        declared = self.headers.get(hdrs.CONTENT_LENGTH)
        return None if declared is None else int(declared.lstrip("0") or "0")

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        # Every response but an `Answer`, which does the same for itself, passes here, once its
        # headers are complete and before they are written.
        headers = response.headers
        headers[REQUEST_ID] = self.id
        headers.popall(hdrs.SERVER, None)
        if self.client.leaving:
            response.force_close()
            headers[hdrs.CONNECTION] = "close"


def request_id(presented: str | None, secret_mark: str) -> str:
    """Return *presented* if it is a sane id, else a fresh one.

    An id chosen in front of the service is kept, because it is what the load balancer logged; it
    labels, and decides nothing. Sane is up to 64 letters, digits, dots, dashes, underscores, but
    nothing with the *secret_mark*: a secret that somebody put there.
    """
    if presented is not None and _is_sane_id(presented) and secret_mark not in presented:
        return presented
    return f"req_{getrandbits(96):024x}"
