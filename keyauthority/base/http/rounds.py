"""Requests that arrived in the same round of the event loop, answered one after the other."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Answering(Protocol):
    """A connection whose request has arrived."""

    def answer_now(self) -> None:
        """Answers the request, or leaves it to the connection's task. Raises nothing."""


class Round:
    """The connections whose requests arrived in this round, until they are answered at its end.

    The event loop reads from all connections first, and writes to all of them last. If each request
    were answered as soon as it is read, the processor's caches would have to hold the code of reading
    and of answering at once: that took a quarter longer. Nobody waits for a timer: a request that is
    alone is answered in the same round.
    """

    __slots__ = ("_connections",)

    def __init__(self) -> None:
        self._connections: list[Answering] = []

    def add(self, connection: Answering, loop: asyncio.AbstractEventLoop) -> None:
        """Has *connection* answer at the end of this round of *loop*."""
        self._connections.append(connection)
        if len(self._connections) == 1:
            loop.call_soon(self._answer_all)

    def _answer_all(self) -> None:
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.answer_now()
