"""The protocol that keeps verifiers' caches coherent: revisions, sessions, leases and receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

SESSIONS_PER_CALLER: Final = 1_000
"""The most sessions of one caller. Further joins are refused; no session is ever evicted."""

REPLICA: Final = ""
"""The caller id in the sessions of replicas, which cache as other verifiers do."""


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """The latest revision of the books, and its epoch."""

    epoch: int
    revision: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A verifier's claim to have applied every change of `epoch` up to `revision`.

    A verifier that has applied nothing claims revision 0 of epoch 0.
    """

    epoch: int
    revision: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit on the leases of one session.

    `lease` is the longest lease that is granted from now on; None: as the terms say. `in_force` is
    the longest lease that may not be over yet, never less than `lease`; None: the longest of any
    session. `number` is unique among the allowances of a session.
    """

    lease: timedelta | None = None
    in_force: timedelta | None = None
    number: int = 0

    @property
    def settled(self) -> bool:
        """Whether no lease in force is longer than the leases granted now."""
        return self.lease == self.in_force

    def granted(self, lease: timedelta) -> timedelta:
        """Returns how long a lease is where the terms say *lease*."""
        return lease if self.lease is None else min(self.lease, lease)

    def longest(self, longest_lease: timedelta) -> timedelta:
        """Returns the longest lease in force where the terms say *longest_lease*."""
        return longest_lease if self.in_force is None else min(self.in_force, longest_lease)


WHOLE: Final = Allowance()
"""The allowance of a session whose leases are as long as the terms say."""


@dataclass(frozen=True, slots=True)
class Session:
    """One verifier that may hold a lease.

    Every call of the verifier gets a `beat` that no other call had. The verifier has applied all
    changes up to `acknowledged`. For people only: the times, and `late`, how often a change had to
    wait long for the verifier.
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
    """A lease, with the head, subjects and terms of one state of the books.

    `subjects` changed after the claimed revision, up to the head; None tells the verifier to drop
    its cache (*reset*). `lease` is limited by `allowance`; zero is no lease.
    """

    session_id: str
    head: Head
    lease: timedelta
    subjects: tuple[str, ...] | None
    foreign_secrets: bool
    allowance: Allowance = WHOLE


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of all leases.

    `lease` is how long a lease lasts, `longest_lease` the longest that may still be in force.
    While `settling`, after a restore from backup, verifiers may hold leases that the books don't
    know. `foreign_secrets` is set by the first import. `version` counts changes of the terms.
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
        """Counts the sessions that have and have not acknowledged *revision*."""
        acknowledged, behind, longest = 0, 0, timedelta()
        for (applied, lease), number in self.sessions.items():
            if applied >= revision:
                acknowledged += number
            elif lease is None or lease:
                behind += number
                longest = max(longest, self.terms.longest_lease if lease is None else lease)
        if self.terms.settling:
            longest = self.terms.longest_lease
        return Counts(acknowledged, behind, longest, self.terms.settling)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many sessions have acknowledged a revision, and how many others may hold a lease.

    `longest_lease` is the longest that those `behind` may hold. While a restore is `settling`, the books
    may not know all leases, and `longest_lease` is the longest of any.
    """

    acknowledged: int
    behind: int
    longest_lease: timedelta
    settling: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a fence reports: see the contract's `Receipt`."""

    revision: int
    sessions_acknowledged: int = 0
    leases_waited_out: int = 0
    waited: timedelta = timedelta()
