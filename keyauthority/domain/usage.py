"""What a workspace's charges come to, by day, key or model."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from keyauthority.domain.errors import invalid
from keyauthority.pricing.usage import Usage

DAY: Final = timedelta(days=1)
CLASSES: Final = Usage._fields
"""The classes of usage that are summed up: those that prices know."""
_MICROSECOND: Final = timedelta(microseconds=1)


class Group(enum.Enum):
    """By what charges are summed up. The contract has the same numbers."""

    DAY = 1
    KEY = 2
    MODEL = 3


@dataclass(frozen=True, slots=True)
class UsageSum:
    """What the charges of one group cost, less what was refunded of charges, and what they used.

    `day`, `key_id` and `model` are empty unless charges are summed up by them. A refund is of the
    time at which it was made, and of the key and model of its charge. `counts` has no zeros, `refunded`
    is what `cost` lacks of what the charges took.
    """

    day: date | None = None
    key_id: str = ""
    model: str = ""
    cost: int = 0
    charges: int = 0
    estimated: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    refunded: int = 0

    def place(self, groups: Sequence[Group]) -> tuple[str, ...]:
        """Returns where the sum stands in a list by *groups*."""
        by_group = {
            Group.DAY: self.day.isoformat() if self.day else "",
            Group.KEY: self.key_id,
            Group.MODEL: self.model,
        }
        return tuple(by_group[group] for group in groups)

    def __add__(self, other: UsageSum) -> UsageSum:
        """Returns the sum of two parts of one group."""
        names = (*self.counts, *(name for name in other.counts if name not in self.counts))
        return UsageSum(
            self.day,
            self.key_id,
            self.model,
            self.cost + other.cost,
            self.charges + other.charges,
            self.estimated + other.estimated,
            {name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in names},
            self.refunded + other.refunded,
        )


@dataclass(frozen=True, slots=True)
class Span:
    """A time from `start` to before `end` in which clocks are `offset` ahead of UTC."""

    start: datetime
    end: datetime
    offset: timedelta

    def day_of(self, time: datetime) -> date:
        """Returns the day that it is there at *time*."""
        return (time.astimezone(UTC) + self.offset).date()


def zone_of(name: str) -> ZoneInfo:
    """Returns the time zone that the IANA calls so; UTC for an empty name. Raises `FIELD_INVALID`."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        raise invalid("time_zone", "is no time zone of the IANA, such as Europe/Berlin") from None


def spans(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[Span]:
    """Yields the time from *start* to before *end* in pieces, cut where clocks are put forward or back.

    So a day may have 23 hours, or 25, or a piece in each of two spans.
    """
    while start < end:
        offset = _offset(start, zone)
        cut = _first_other(start, end, zone, offset)
        yield Span(start, cut, offset)
        start = cut


def _first_other(start: datetime, end: datetime, zone: ZoneInfo, offset: timedelta) -> datetime:
    # The first moment with another offset; no zone has two changes in a day that undo each other.
    same = start
    while end - same > DAY and _offset(same + DAY, zone) == offset:
        same += DAY
    other = min(same + DAY, end) if end - same > DAY else end
    if _offset(other, zone) == offset:
        return end
    while other - same > _MICROSECOND:
        middle = same + (other - same) / 2
        if _offset(middle, zone) == offset:
            same = middle
        else:
            other = middle
    return other


def _offset(time: datetime, zone: ZoneInfo) -> timedelta:
    return time.astimezone(zone).utcoffset() or timedelta()
