"""Moments and days as people read and write them, in their own time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

# Units, and from how many of them on they are used: 89 days say more than three months.
_UNITS: Final = (
    ("year", timedelta(days=365), 2),
    ("month", timedelta(days=30), 4),
    ("day", timedelta(days=1), 1),
    ("hour", timedelta(hours=1), 1),
    ("minute", timedelta(minutes=1), 1),
)
_TIME: Final = Markup('<time datetime="{iso}" data-moment="{kind}">{text}</time>')
_AGO: Final = Markup('<time datetime="{iso}" data-moment="title" title="{title}">{text}</time>')

_is_day: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII).fullmatch

HOW: Final = "Give a date as year-month-day, for instance 2027-01-31."
"""What is said of anything else."""


def zone_of(name: str) -> tzinfo:
    """Return the zone called *name*; UTC for none, and for one that is no longer known."""
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        return UTC


def moment(time: datetime, zone: tzinfo) -> Markup:
    """Return *time* to the minute, such as `25 Nov 2026, 12:39 KST`."""
    return _TIME.format(iso=_iso(time), kind="minute", text=to_the_minute(time, zone))


def day(time: datetime, zone: tzinfo) -> Markup:
    """Return the day of *time*, such as `25 Nov 2026`."""
    return _TIME.format(iso=_iso(time), kind="day", text=_day(time.astimezone(zone)))


def ago(time: datetime, zone: tzinfo, now: datetime) -> Markup:
    """Return how long before or after *now* *time* is; the title has it to the minute."""
    title = to_the_minute(time, zone)
    return _AGO.format(iso=_iso(time), title=title, text=distance(time - now))


def distance(away: timedelta) -> str:
    """Return *away* in words: `in 12 days`, `3 hours ago`, `just now`."""
    size = abs(away)
    for name, unit, least in _UNITS:
        if size >= unit * least:
            count = round(size / unit)
            words = f"{count} {name}{'' if count == 1 else 's'}"
            return f"in {words}" if away > timedelta() else f"{words} ago"
    return "in less than a minute" if away > timedelta() else "just now"


def to_the_minute(time: datetime, zone: tzinfo) -> str:
    """Return *time* to the minute as plain text."""
    local = time.astimezone(zone)
    return f"{_day(local)}, {local:%H:%M} {local.tzname()}"


def _day(local: datetime) -> str:
    return f"{local.day} {local:%b %Y}"


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")


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
