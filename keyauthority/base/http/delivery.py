"""The bytes that wait for slow clients: each client has to read some, and all share one bound."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

HIGH_WATER: Final = 64 * 1024
"""Bytes that may wait for a client before the writer has to wait too."""

_CHECKS: Final = 4
"""How often a connection with unread bytes is checked within its patience."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)

Abort = Callable[[], None]


def reset(transport: asyncio.BaseTransport) -> None:
    """Makes the connection end with a reset, which drops the unread bytes that were sent."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


class Delivery:
    """The bytes that wait for one client, which has to read some within each `patience`, in seconds.

    A slow client is as good as a fast one. The connection of a client that reads nothing is aborted:
    neither the writer nor a close, which would last until all is written, waits for it.

    `owner` is whom the bytes are counted against in *unread*, "" as long as nobody is known.
    `paused` is whether the writer has to wait.
    """

    __slots__ = (
        "_charged",
        "_checking",
        "_left",
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
        self.owner = ""
        self.patience = patience
        self.paused = False
        self._transport = transport
        self._unread = unread
        self._loop = loop
        self._charged: str | None = None
        self._checking: asyncio.TimerHandle | None = None
        # How many bytes waited when the client last read some, and when that was.
        self._left = 0
        self._since = 0.0

    def pause(self) -> None:
        """Notes that the writer has to wait."""
        self.paused = True
        self._left, self._since = self._transport.get_write_buffer_size(), self._loop.time()
        self._charged = self.owner
        self._unread.wait(self.owner, self._abort_soon, self._left)
        self.watch()

    def resume(self) -> None:
        """Notes that the writer may go on."""
        self.paused = False
        self._settle()

    def watch(self) -> None:
        """Checks the client, if bytes wait for it, until it has read them all."""
        if self._checking is None and self._transport.get_write_buffer_size():
            self._check_later()

    def end(self) -> None:
        """Notes that the connection is gone."""
        self._settle()
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None

    def _check_later(self) -> None:
        self._checking = self._loop.call_later(self.patience / _CHECKS, self._check)

    def _check(self) -> None:
        self._checking = None
        waiting, now = self._transport.get_write_buffer_size(), self._loop.time()
        stuck = self.paused or self._transport.is_closing()
        if not stuck and not waiting:
            return
        if not stuck or waiting < self._left:
            self._left, self._since = waiting, now
        elif now - self._since >= self.patience:
            self._abort()
            return
        self._check_later()

    def _settle(self) -> None:
        if self._charged is not None:
            self._unread.end(self._charged, self._abort_soon)
            self._charged = None

    def _abort_soon(self) -> None:
        # Not at once: a write may be under way.
        self._loop.call_soon(self._abort)

    def _abort(self) -> None:
        # After an orderly end, the system would hold the unread bytes for minutes.
        reset(self._transport)
        self._transport.abort()


class Unread:
    """The bytes that wait for clients, by owner, up to *most* in total.

    No owner may have more waiting than is left of the bound: a single owner half of it, one of two a
    third, and so on. Where one more answer is too much, the owner's answers that are unread for
    longest are given up. All unknown clients are one owner.
    """

    def __init__(self, most: int) -> None:
        self.total = 0
        self._most: Final = most
        self._owners: dict[str, _Answers] = {}

    def wait(self, owner: str, abort: Abort, size: int) -> None:
        """Notes that *size* bytes of *owner* wait; *abort*, which gives them up, may be called at once.

        Each *abort* is a different function, which stands for one answer.
        """
        answers = self._owners.setdefault(owner, _Answers())
        answers.by_abort[abort] = size
        answers.size += size
        self.total += size
        while answers.size > self._most - self.total:
            oldest = next(iter(answers.by_abort))
            self.end(owner, oldest)
            oldest()

    def end(self, owner: str, abort: Abort) -> None:
        """Notes that the answer of *abort* waits no more; calling this again does nothing."""
        answers = self._owners.get(owner)
        if answers is None:
            return
        size = answers.by_abort.pop(abort, 0)
        answers.size -= size
        self.total -= size
        if not answers.by_abort:
            del self._owners[owner]


@dataclass(slots=True)
class _Answers:
    # The sizes of one owner's answers, those unread for longest first.
    by_abort: OrderedDict[Abort, int] = field(default_factory=OrderedDict)
    size: int = 0
