"""How many calls of each kind are under way at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.peers import PeerPlaces


@dataclass(frozen=True, slots=True)
class Room:
    """The places that some services share: how many calls are under way at most.

    A call beyond these is refused at once: a call that waits longer than its caller only delays the
    others. A flood of calls in one room shuts out none of another. `streams` are calls that may stay
    for days, with places of their own. A change takes no place while it waits at the fence.
    """

    name: str
    calls: int
    streams: int = 0


# Held for seconds each, by as many verifiers as there are.
SYNCING: Final = Room("syncing", 10_000)
VERIFYING: Final = Room("verifying", 1_000)
# A verifier has one call under way at a time; a few are in the books, the others wait for these.
SETTLING: Final = Room("settling", 1_000)
ISSUING: Final = Room("issuing", 100)
# Whoever bills may do so in bulk, and shuts out no administrator who revokes a caller meanwhile.
BILLING: Final = Room("billing", 50)
ADMINISTERING: Final = Room("administering", 50)
# Whoever asks how it stands gets an answer, too, while administrators are kept waiting.
IDENTIFYING: Final = Room("identifying", 50)
REFLECTING: Final = Room("reflecting", 50, streams=50)
# As many streams as there are connections: each client may watch the health of its process.
HEALTH: Final = Room("health", 200, streams=12_000)

STREAMS_PER_CONNECTION: Final = 4
"""How many of a room's streams one connection may have."""


class Places:
    """The places for the calls in one room."""

    __slots__ = ("_most", "_taken")

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def enter(self) -> None:
        """Takes a place for one call; raises `OVERLOADED` if there is none."""
        if self._taken >= self._most:
            raise KeyAuthorityError(Reason.OVERLOADED, "too many calls of this kind are under way")
        self._taken += 1

    def leave(self) -> None:
        """Gives up the place of a call that entered."""
        self._taken -= 1


class Admission:
    """The places of each room."""

    def __init__(self) -> None:
        self._calls: dict[Room, Places] = {}
        self._streams: dict[Room, PeerPlaces] = {}

    def calls(self, room: Room) -> Places:
        """Returns the places of the calls in *room*."""
        return self._calls.setdefault(room, Places(room.calls))

    def streams(self, room: Room) -> PeerPlaces:
        """Returns the places of the streams in *room*."""
        return self._streams.setdefault(room, PeerPlaces(room.streams, STREAMS_PER_CONNECTION))
