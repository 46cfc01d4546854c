"""Who is refused again and again is refused ever later: a flood of strangers slows itself down."""

from __future__ import annotations

import asyncio
from typing import Final

from keyauthority.domain.peers import PeerPlaces, Turns

AT_ONCE: Final = 4
SECONDS: Final = 0.01
"""How long the turn of one refusal lasts: with four at once, 400 are told in a second."""

WAITING: Final = 4_000
WAITING_PER_CONNECTION: Final = 1_000


class Brake:
    """Has strangers wait before they are told that they are refused, if there are many of them.

    A refusal costs as much of the process's time as an answer. Who waits for one sends no more, and
    known callers get that time. The first few are told at once, then each connection in its turn.
    """

    def __init__(self) -> None:
        self._turns = Turns(AT_ONCE)
        self._waiting = PeerPlaces(WAITING, WAITING_PER_CONNECTION)

    async def wait(self, peer: str) -> None:
        """Returns when a call of *peer* may be refused; raises `OVERLOADED` if too many wait."""
        with self._waiting.place(peer):
            await self._turns.acquire(peer)
        # The turn goes on when the call is over.
        asyncio.get_running_loop().call_later(SECONDS, self._turns.release)
