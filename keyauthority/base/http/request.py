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

_is_valid_id = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII).fullmatch


class Client:
    """The other end of one connection.

    Args:
        transport: The connection.
        delivery: The bytes that wait for the client.
        leaving: Whether the service is about to stop.
    """

    __slots__ = ("delivery", "interrupted", "large_head", "leaving", "transport")

    def __init__(self, transport: asyncio.Transport, delivery: Delivery, *, leaving: bool) -> None:
        self.transport = transport
        self.delivery = delivery
        self.leaving = leaving
        # Set when the handler is cancelled because the service stops, not because the client left.
        self.interrupted = False
        # Whether a head may have been over the limit: that many bytes came with it, some perhaps of
        # its body. Saves all other requests the counting.
        self.large_head = False


class Request(web.BaseRequest):
    """A request with its id, its start, and a callback for its end."""

    # Names that aiohttp's debug mode accepts as attributes.
    ATTRS = web.BaseRequest.ATTRS | frozenset({"client", "id", "on_end", "started"})

    # Called once, when the answer is written or given up.
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
        """Notes that the answer is written, or never will be."""
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            on_end()

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may have another request.

        Not after a body in chunks: aiohttp would take the last field of its trailer for one of the
        next request, be it a credential. Nor after an offer of another protocol, which is ignored:
        aiohttp loses bytes that arrived behind it, and would take the rest for a request of its own.
        Whatever has arrived behind either is not answered.
        """
        message = self._message
        return super().keep_alive and not (message.chunked or message.upgrade)

    @property
    def content_length(self) -> int | None:
        """The length of the body that the client declared, in bytes; None if it declared none.

        The parser refuses all but 64-bit numbers, but accepts thousands of leading zeros.
        """
        declared = self.headers.get(hdrs.CONTENT_LENGTH)
        return None if declared is None else int(declared.lstrip("0") or "0")

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        # aiohttp calls this before it writes the complete headers of any response but an `Answer`,
        # which does the same for itself.
        headers = response.headers
        headers[REQUEST_ID] = self.id
        headers.popall(hdrs.SERVER, None)
        if self.client.leaving:
            response.force_close()
            headers[hdrs.CONNECTION] = "close"


def request_id(presented: str | None, secret_mark: str) -> str:
    """Returns *presented* if it is a valid id, else a fresh one.

    A valid id is kept because the load balancer may have logged it; it decides nothing. It has up
    to 64 letters, digits, dots, dashes, underscores, and not the *secret_mark* of a secret.
    """
    if presented is not None and _is_valid_id(presented) and secret_mark not in presented:
        return presented
    return "req_" + getrandbits(96).to_bytes(12, "big").hex()
