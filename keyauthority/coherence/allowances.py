"""Shorter leases, down to none, for verifiers that acknowledge late.

A change waits for a session that is behind as long as one of its leases may be in force. So a late
session is granted half as long leases from then on, below `SHORTEST` none at all: then its verifier
may not answer from its cache, and no change waits for it. After `PROBATION` without being late again
the session is granted leases twice as long.

The rules, each of which has a seeded bug (tests/coherence):

* a lease is granted by the allowance from before its head was read, or of the same state: no change
  has begun between the two;
* what may be in force falls to what is granted only when the allowance has stood still for W: every
  longer lease was asked for before the allowance was written, and is over;
* what is granted and what may be in force rise together: a change that is committed after the head
  of a longer lease was read finds in the books that there may be one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from keyauthority.coherence.leases import wait_out
from keyauthority.domain.sessions import WHOLE, Allowance

LATE: Final = 0.5
"""Seconds since the last acknowledgement of any session after which the missing ones are late."""

SHORTEST: Final = timedelta(milliseconds=250)
"""No shorter lease is granted."""

PROBATION: Final = 30.0
"""Seconds that an allowance lasts, at least, before a longer one."""

NONE: Final = timedelta()


def shortened(before: Allowance, lease: timedelta) -> Allowance:
    """Returns the allowance of a session that was late, where the terms say *lease*."""
    half = before.granted(lease) / 2
    return replace(before, lease=half if half >= SHORTEST else NONE)


def withdrawn(before: Allowance) -> Allowance:
    """Returns the allowance of a session that claims a state that no grant of its had."""
    return replace(before, lease=NONE)


def lengthened(before: Allowance, lease: timedelta) -> Allowance:
    """Returns the allowance after a probation without lateness, where the terms say *lease*."""
    longer = 2 * before.granted(lease)
    if not longer:
        # The shortest that `shortened` leaves before none.
        longer = lease
        while longer / 2 >= SHORTEST:
            longer /= 2
    return WHOLE if longer >= lease else Allowance(longer, longer)


class Allowances:
    """Remembers since when each shortened allowance stands, by its own clock alone."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, int], float] = {}

    def look(
        self,
        sessions: Iterable[tuple[str, Allowance, bool]],
        now: float,
        lease: timedelta,
        longest_lease: timedelta,
    ) -> list[tuple[str, Allowance, Allowance]]:
        """Returns which of *sessions* get another allowance: id, present allowance, next allowance.

        A session is its id, its allowance, and whether it has acknowledged anything. *now* was read
        after the sessions; *lease* and *longest_lease* are those of the terms.
        """
        since, due = {}, []
        for session_id, present, acknowledges in sessions:
            if present.lease is None:
                continue
            key = session_id, present.number
            since[key] = self._since.get(key, now)
            stood = now - since[key]
            if not present.settled:
                if stood >= wait_out(present.longest(longest_lease)):
                    due.append((session_id, present, replace(present, in_force=present.lease)))
            elif acknowledges and stood >= PROBATION:
                due.append((session_id, present, lengthened(present, lease)))
        self._since = since
        return due
