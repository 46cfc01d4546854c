"""Grants: credits that came together, and in which order they are drawn and expire."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

PRIORITY: Final = 50
"""The priority of a grant that names none; a lower number is drawn first."""

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Grant:
    """Credits that came together, and what of them remains, in nano-credits."""

    id: str
    remaining: int
    create_time: datetime
    priority: int = PRIORITY
    expire_time: datetime | None = None
    promotional: bool = False

    def left(self, remaining: int) -> Grant:
        """Returns the same grant, of which so much remains."""
        return Grant(
            self.id,
            remaining,
            self.create_time,
            self.priority,
            self.expire_time,
            self.promotional,
        )

    @property
    def terms(self) -> tuple[int, datetime | None, bool]:
        """On what terms the credits came: credits on the same terms are as good as each other."""
        return self.priority, self.expire_time, self.promotional


# Not frozen: one is made for each charge, and that would take several times as long. Nobody changes it.
@dataclass(slots=True)
class Draw:
    """What a charge, a reduction or an expiry takes of one grant."""

    grant_id: str
    amount: int


def in_order(grants: Iterable[Grant]) -> list[Grant]:
    """Returns *grants* as they are drawn.

    That is by priority, then soonest expiry (none is last), promotional before paid, oldest first.
    """
    return sorted(
        grants,
        key=lambda grant: (
            grant.priority,
            grant.expire_time or _NEVER,
            not grant.promotional,
            grant.create_time,
            grant.id,
        ),
    )


def draw(grants: Iterable[Grant], amount: int) -> tuple[list[Draw], int]:
    """Returns what *amount* takes of each of *grants*, which are in order, and the debt that none covers."""
    draws, left = [], amount
    for grant in grants:
        if not left:
            break
        taken = min(left, grant.remaining)
        if taken:
            draws.append(Draw(grant.id, taken))
            left -= taken
    return draws, left


def remaining_of(amount: int, balance: int) -> int:
    """Returns what remains of a grant of *amount* to a workspace of *balance*: it pays a debt first."""
    return max(amount + min(balance, 0), 0)


def is_due(grant: Grant, now: datetime) -> bool:
    """Returns whether the grant's time has come at *now*."""
    return grant.expire_time is not None and grant.expire_time <= now


def expire(grants: Iterable[Grant], escrowed: int, now: datetime) -> list[Draw]:
    """Returns what expires at *now* of those of *grants*, which are in order, whose time has come.

    What stands in slices does not: it is taken to be of the grants that are drawn first, of those
    that were there when the grant fell due. To be asked again when credits come back from slices, in
    the transaction that brings them back.
    """
    grants = list(grants)
    expiries = [one.expire_time for one in grants if one.expire_time and is_due(one, now)]
    if not expiries:
        return []
    draws: list[Draw] = []
    # What was there at the first expiry was there at all of them: only of the others each one asks.
    first, covered, later = min(expiries), 0, list[Grant]()
    for grant in grants:
        expiry = grant.expire_time
        if expiry is not None and is_due(grant, now):
            covered_later = sum(one.remaining for one in later if one.create_time < expiry)
            in_slices = max(escrowed - covered - covered_later, 0)
            if grant.remaining > in_slices:
                draws.append(Draw(grant.id, grant.remaining - in_slices))
        if grant.create_time < first:
            covered += grant.remaining
        else:
            later.append(grant)
    return draws
