"""Whether a client takes what it is sent: if not, it loses its connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

from gateway.unread import Unread

HIGH_WATER: Final = 64 * 1024
"""Bytes that may wait for a client before whoever writes has to wait too."""

_LOOKS: Final = 4
"""How often a connection with unread bytes is looked at within its patience."""
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.BaseTransport) -> None:
    """Have the connection end with a reset, and what was sent and not taken be dropped."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


class Delivery:
    """What waits for one client. It has to take some of it within each `patience`, in seconds.

    A slow client is as good as a fast one. One that takes nothing is waited for neither by who
    writes nor by a close, which would otherwise last until all is written: its connection is
    aborted.

    Args:
        transport: The connection.
        unread: Where the bytes that wait are counted.
        patience: The seconds, as long as nobody changes them.
        loop: The event loop.
    """

    __slots__ = (
        "_charged",
        "_left",
        "_looking",
        "_loop",
        "_paused",
        "_since",
        "_transport",
        "_unread",
        "owner",
        "patience",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        unread: Unread,
        patience: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        transport.set_write_buffer_limits(high=HIGH_WATER)
        # The id of the key that the bytes are counted against, "" as long as there is none.
        self.owner = ""
        self.patience = patience
        self._transport = transport
        self._unread = unread
        self._loop = loop
        self._paused = False
        self._charged: str | None = None
        self._looking: asyncio.TimerHandle | None = None
        # How many bytes waited when some were last taken, and when that was.
        self._left = 0
        self._since = 0.0

    def pause(self) -> None:
        """Note that whoever writes has to wait."""
        self._paused = True
        self._left, self._since = self._transport.get_write_buffer_size(), self._loop.time()
        self._charged = self.owner
        self._unread.wait(self.owner, self._abort_soon, self._left)
        self.watch()

    def resume(self) -> None:
        """Note that whoever writes may go on."""
        self._paused = False
        self._settle()

    def watch(self) -> None:
        """Look after what waits, if anything does, until the client has it all."""
        if self._looking is None and self._transport.get_write_buffer_size():
            self._look_later()

    def end(self) -> None:
        """Note that the connection is gone."""
        self._settle()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _look_later(self) -> None:
        self._looking = self._loop.call_later(self.patience / _LOOKS, self._look)

    def _look(self) -> None:
        self._looking = None
        waiting, now = self._transport.get_write_buffer_size(), self._loop.time()
        stuck = self._paused or self._transport.is_closing()
        if not stuck and not waiting:
            return
        if not stuck or waiting < self._left:
            self._left, self._since = waiting, now
        elif now - self._since >= self.patience:
            self._abort()
            return
        self._look_later()

    def _settle(self) -> None:
        if self._charged is not None:
            self._unread.end(self._charged, self._abort_soon)
            self._charged = None

    def _abort_soon(self) -> None:
        # Not at once: it may be within a write.
        self._loop.call_soon(self._abort)

    def _abort(self) -> None:
        # An orderly end would keep what was sent in the system's memory for minutes.
        reset(self._transport)
        self._transport.abort()
