"""What waits for clients that do not read it: each has to take some, and all have one bound."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

HIGH_WATER: Final = 64 * 1024
"""Bytes that may wait for a client before whoever writes has to wait too."""

_LOOKS: Final = 4
"""How often a connection with unread bytes is looked at within its patience."""
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)

Abort = Callable[[], None]


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
        "_since",
        "_transport",
        "_unread",
        "owner",
        "patience",
        "paused",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        unread: Unread,
        patience: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        transport.set_write_buffer_limits(high=HIGH_WATER)
        # Whom the bytes are counted against, "" as long as nobody is known.
        self.owner = ""
        self.patience = patience
        # Whether whoever writes has to wait.
        self.paused = False
        self._transport = transport
        self._unread = unread
        self._loop = loop
        self._charged: str | None = None
        self._looking: asyncio.TimerHandle | None = None
        # How many bytes waited when some were last taken, and when that was.
        self._left = 0
        self._since = 0.0

    def pause(self) -> None:
        """Note that whoever writes has to wait."""
        self.paused = True
        self._left, self._since = self._transport.get_write_buffer_size(), self._loop.time()
        self._charged = self.owner
        self._unread.wait(self.owner, self._abort_soon, self._left)
        self.watch()

    def resume(self) -> None:
        """Note that whoever writes may go on."""
        self.paused = False
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
        stuck = self.paused or self._transport.is_closing()
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


class Unread:
    """The bytes that wait for clients, by whose they are.

    Nobody may have more waiting than is left of the bound: alone half of it, beside another a
    third, and so on. Where one more answer is too much, the owner's answers that have stood unread
    for longest are given up. What is said to strangers has one owner together.

    Args:
        most: Bytes that wait at a time.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._total = 0
        self._owners: dict[str, _Answers] = {}

    @property
    def total(self) -> int:
        """The bytes that wait."""
        return self._total

    def wait(self, owner: str, abort: Abort, size: int) -> None:
        """Note that *size* bytes of *owner* wait; *abort* may be called to give them up, now or later.

        Each *abort* has one answer that waits: it is another function each time.
        """
        answers = self._owners.setdefault(owner, _Answers())
        answers.add(abort, size)
        self._total += size
        while answers.size > self._most - self._total:
            oldest = next(iter(answers.by_abort))
            self.end(owner, oldest)
            oldest()

    def end(self, owner: str, abort: Abort) -> None:
        """Note that the bytes wait no more; nothing happens if that is known."""
        answers = self._owners.get(owner)
        if answers is None:
            return
        self._total -= answers.take(abort)
        if not answers.by_abort:
            del self._owners[owner]


class _Answers:
    # Those of one owner, the longest unread first.

    def __init__(self) -> None:
        self.size = 0
        self.by_abort: OrderedDict[Abort, int] = OrderedDict()

    def add(self, abort: Abort, size: int) -> None:
        self.by_abort[abort] = size
        self.size += size

    def take(self, abort: Abort) -> int:
        size = self.by_abort.pop(abort, 0)
        self.size -= size
        return size
