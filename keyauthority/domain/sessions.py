"""Sessions: the authority's books about who may answer from a cache, and up to where they have read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain.revisions import Head

SESSIONS_PER_CALLER: Final = 1_000
"""How many sessions one caller may have. Beyond it a join is refused; none is ever evicted."""

REPLICA: Final = ""
"""The caller id of the authority's own processes: each has a cache and a session like any other."""


@dataclass(frozen=True, slots=True)
class Session:
    """One verifier that may hold a lease.

    `beat` is given anew, and never twice, at every call of the verifier's. `acknowledged` is the
    revision up to which it has said to have applied all changes. The times are for people only.
    """

    id: str
    caller_id: str
    name: str
    beat: int
    acknowledged: int
    create_time: datetime
    sync_time: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease, and what it rests on: head, subjects and terms of one state of the books.

    `subjects` are what changed after the claimed revision, up to the head; None if the verifier has
    to drop what it has cached (*reset*).
    """

    session_id: str
    head: Head
    lease: timedelta
    subjects: tuple[str, ...] | None
    foreign_secrets: bool


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
    """What each session has acknowledged, in no order, and the terms."""

    acknowledged: tuple[int, ...]
    terms: Terms

    def behind(self, revision: int) -> int:
        """How many sessions have not acknowledged *revision*."""
        return sum(one < revision for one in self.acknowledged)
