"""Days as people type them, in their own time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

_is_day: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII).fullmatch

HOW: Final = "Give a date as year-month-day, for instance 2027-01-31."
"""What is said of anything else."""


def begin_of_day(text: str, zone: tzinfo) -> datetime:
    """When the day begins in *zone*. Raises ValueError for what is no day."""
    if not _is_day(text):
        raise ValueError(HOW)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(HOW) from None


def end_of_day(text: str, zone: tzinfo) -> datetime:
    """When the day is over in *zone*. Raises ValueError for what is no day."""
    try:
        # The day of the calendar, which may have 23 or 25 hours there.
        next_day = datetime.fromisoformat(text) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise ValueError(HOW) from None
    begin_of_day(text, zone)
    return begin_of_day(next_day.date().isoformat(), zone)


def last_day(end: datetime, zone: tzinfo) -> str:
    """The day that is over at *end*, as it would be typed."""
    return (end - timedelta(microseconds=1)).astimezone(zone).date().isoformat()
