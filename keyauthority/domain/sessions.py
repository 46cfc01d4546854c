"""Sessions: the authority's books about who may answer from a cache, and up to where they have read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

SESSIONS_PER_CALLER: Final = 1_000
"""How many sessions one caller may have. Beyond it a join is refused; none is ever evicted."""

REPLICA: Final = ""
"""The caller id of the authority's own processes: each has a cache and a session like any other."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far the books are: the latest revision, and the epoch it belongs to."""

    epoch: int
    revision: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a verifier says it has applied: every change of *epoch* up to *revision*.

    One that has applied nothing claims revision 0 of epoch 0.
    """

    epoch: int
    revision: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a session is granted, and what may be in force of what it was granted.

    `lease` is the longest that is granted from now on; None: as long as the terms say. `in_force` is
    the longest that may not be over yet, never less than `lease`; None: as long as any. `number`
    tells one allowance from all others that the session ever had.
    """

    lease: timedelta | None = None
    in_force: timedelta | None = None
    number: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing longer is in force than is granted."""
        return self.lease == self.in_force

    def granted(self, lease: timedelta) -> timedelta:
        """How long a lease is, where the terms say *lease*."""
        return lease if self.lease is None else min(self.lease, lease)

    def longest(self, longest_lease: timedelta) -> timedelta:
        """The longest lease in force, where the terms say *longest_lease* of all."""
        return longest_lease if self.in_force is None else min(self.in_force, longest_lease)


WHOLE: Final = Allowance()
"""That of a session whose leases are as long as the terms say."""


@dataclass(frozen=True, slots=True)
class Session:
    """One verifier that may hold a lease.

    `beat` is given anew, and never twice, at every call of the verifier's. `acknowledged` is the
    revision up to which it has said to have applied all changes. The times are for people only, and
    so is `late`, how often a change waited for it for long.
    """

    id: str
    caller_id: str
    name: str
    beat: int
    acknowledged: int
    create_time: datetime
    sync_time: datetime
    allowance: Allowance = WHOLE
    late: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease, and what it rests on: head, subjects and terms of one state of the books.

    `subjects` are what changed after the claimed revision, up to the head; None if the verifier has
    to drop what it has cached (*reset*). `lease` is that of `allowance`; zero is none.
    """

    session_id: str
    head: Head
    lease: timedelta
    subjects: tuple[str, ...] | None
    foreign_secrets: bool
    allowance: Allowance = WHOLE


@dataclass(frozen=True, slots=True)
class Terms:
    """What leases are granted by.

    `lease` is how long one lasts, `longest_lease` the longest that may still be in force.
    `settling` is true for a while after a restore from backup: verifiers may hold leases that the
    books know nothing of. `foreign_secrets` tells whether any were ever imported. `version` counts
    how often the terms were changed.
    """

    lease: timedelta
    longest_lease: timedelta
    settling: bool
    foreign_secrets: bool
    version: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How many sessions have acknowledged what, and the terms.

    `sessions` counts them by the revision acknowledged and the longest lease of theirs that may be in
    force (None: the longest of all): few numbers, for however many sessions.
    """

    sessions: Mapping[tuple[int, timedelta | None], int]
    terms: Terms

    def at(self, revision: int) -> Counts:
        """How the sessions stand to *revision*."""
        acknowledged, behind, longest = 0, 0, timedelta()
        for (applied, lease), number in self.sessions.items():
            if applied >= revision:
                acknowledged += number
            elif lease is None or lease:
                behind += number
                longest = max(longest, self.terms.longest_lease if lease is None else lease)
        if self.terms.settling:
            longest = self.terms.longest_lease
        return Counts(acknowledged, behind, longest)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many sessions have acknowledged a revision, and how many have not but may hold a lease.

    `longest_lease` is the longest that these may hold. While a restore settles, it is the longest of
    any: the books may not know all leases.
    """

    acknowledged: int
    behind: int
    longest_lease: timedelta


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the fence tells the caller: see the contract's `Receipt`."""

    revision: int
    sessions_acknowledged: int = 0
    leases_waited_out: int = 0
    waited: timedelta = timedelta()
