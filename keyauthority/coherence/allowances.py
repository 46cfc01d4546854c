"""Shorter leases, down to none, for verifiers that acknowledge late.

A change waits for a session that is behind as long as a lease of its may be in force. So whoever is
late is granted half as long a lease from then on, below `SHORTEST` none at all: it may not answer
from its cache then, and no change waits for it. After `PROBATION` without being late again it is
granted twice as long.

The rules, each of which has a seeded bug (tests/coherence):

* a lease is granted by the allowance from before its head was read;
* what may be in force falls to what is granted only when the allowance has stood still for W: every
  longer lease was asked for before it, and is over;
* what is granted and what may be in force rise together: whoever commits a change after the head of
  a longer lease was read finds in the books that there may be one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from keyauthority.coherence.leases import wait_out
from keyauthority.domain.sessions import WHOLE, Allowance

LATE: Final = 0.5
"""Seconds without an acknowledgement, all others having come, after which a session is late."""

SHORTEST: Final = timedelta(milliseconds=250)
"""A shorter lease is none."""

PROBATION: Final = 30.0
"""Seconds that an allowance lasts at least before a longer one is given."""

NONE: Final = timedelta()


def shortened(before: Allowance, lease: timedelta) -> Allowance:
    """The allowance of a session that was late, where the terms say *lease*."""
    half = before.granted(lease) / 2
    return replace(before, lease=half if half >= SHORTEST else NONE)


def withdrawn(before: Allowance) -> Allowance:
    """The allowance of a session that claims what it can't have been told."""
    return replace(before, lease=NONE)


def lengthened(before: Allowance, lease: timedelta) -> Allowance:
    """The allowance after one that was kept, where the terms say *lease*."""
    longer = 2 * before.granted(lease) or _least(lease)
    if longer >= lease:
        return WHOLE
    return Allowance(longer, longer)


def _least(lease: timedelta) -> timedelta:
    # The last one that `shortened` leaves before none.
    while lease / 2 >= SHORTEST:
        lease /= 2
    return lease


class Allowances:
    """Remembers since when each allowance stands, by its own clock alone."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, int], float] = {}

    def look(
        self,
        sessions: Iterable[tuple[str, Allowance, bool]],
        now: float,
        lease: timedelta,
        longest_lease: timedelta,
    ) -> list[tuple[str, Allowance, Allowance]]:
        """Which of *sessions* get another allowance: their id, the one they have, and the next.

        A session is told with whether it has acknowledged anything. *now* is read after the
        sessions were; *lease* and *longest_lease* are those of the terms.
        """
        shortened_ones = [one for one in sessions if one[1].lease is not None]
        self._since = {
            (each, has.number): self._since.get((each, has.number), now)
            for each, has, _ in shortened_ones
        }
        following = []
        for session_id, has, acknowledges in shortened_ones:
            stood = now - self._since[session_id, has.number]
            if not has.settled:
                if stood >= wait_out(has.longest(longest_lease)):
                    following.append((session_id, has, replace(has, in_force=has.lease)))
            elif acknowledges and stood >= PROBATION:
                following.append((session_id, has, lengthened(has, lease)))
        return following
