"""One request at the edge, and what has become of it so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from multidict import istr

from gateway.envelope import Refusal
from gateway.request_id import HEADER, request_id
from keyauthority.client import VerifiedKey

if TYPE_CHECKING:
    from gateway.connection import Connection

_REQUEST_ID: Final = istr(HEADER)


class EdgeRequest(web.BaseRequest):
    """A request as its client sent it, with its id and what the gateway learnt about it."""

    # Names that aiohttp's debug mode accepts as attributes.
    ATTRS = web.BaseRequest.ATTRS | frozenset(
        {"connection", "cut", "id", "started", "key", "on_end", "outcome"}
    )

    # The key behind the presented secret, once known.
    key: VerifiedKey | None = None
    # How it ended, for log and metrics: see `gateway.metrics.OUTCOMES`.
    outcome = ""
    # Set when it is cancelled because its key died, to what the client is to be told.
    cut: Refusal | None = None
    # Called once when its answer is written or given up.
    on_end: Callable[[], None] | None = None

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: Connection,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(message, payload, protocol, writer, task, loop)
        # The client's connection.
        self.connection = protocol
        self.id = request_id(message.headers.get(_REQUEST_ID))
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
        headers[_REQUEST_ID] = self.id
        headers.popall(hdrs.SERVER, None)
        if self.connection.server.leaving:
            response.force_close()
            headers[hdrs.CONNECTION] = "close"
