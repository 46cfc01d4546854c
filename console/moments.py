"""Times and days as people read and write them, in their time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

# Each unit, and the smallest number of it that is used: 89 days say more than three months.
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

_NO_DAY: Final = "Give a date as year-month-day, for instance 2027-01-31."


def zone_of(name: str) -> tzinfo:
    """Returns the zone called *name*; UTC for none, and for one that doesn't exist any more."""
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        return UTC


def moment(time: datetime, zone: tzinfo) -> Markup:
    """Returns *time* to the minute, such as `25 Nov 2026, 12:39 KST`."""
    return _TIME.format(iso=_iso(time), kind="minute", text=to_the_minute(time, zone))


def day(time: datetime, zone: tzinfo) -> Markup:
    """Returns the day of *time*, such as `25 Nov 2026`."""
    return _TIME.format(iso=_iso(time), kind="day", text=calendar_day(time.astimezone(zone)))


def ago(time: datetime, zone: tzinfo, now: datetime) -> Markup:
    """Returns the distance of *time* from *now*; the title has the time to the minute."""
    title = to_the_minute(time, zone)
    return _AGO.format(iso=_iso(time), title=title, text=distance(time - now))


def distance(away: timedelta) -> str:
    """Returns *away* in words: `in 12 days`, `3 hours ago`, `just now`."""
    size = abs(away)
    for name, unit, least in _UNITS:
        if size >= unit * least:
            count = round(size / unit)
            words = f"{count} {name}{'' if count == 1 else 's'}"
            return f"in {words}" if away > timedelta() else f"{words} ago"
    return "in less than a minute" if away > timedelta() else "just now"


def to_the_minute(time: datetime, zone: tzinfo) -> str:
    """Returns *time* to the minute as plain text."""
    local = time.astimezone(zone)
    return f"{calendar_day(local)}, {local:%H:%M} {local.tzname()}"


def calendar_day(local: date) -> str:
    """Returns a day of a calendar as plain text."""
    return f"{local.day} {local:%b %Y}"


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")


def begin_of_day(text: str, zone: tzinfo) -> datetime:
    """Returns when the day begins in *zone*. Raises ValueError for a text that is no day."""
    if not _is_day(text):
        raise ValueError(_NO_DAY)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(_NO_DAY) from None


def end_of_day(text: str, zone: tzinfo) -> datetime:
    """Returns when the day ends in *zone*. Raises ValueError for a text that is no day."""
    try:
        # The next day of the calendar: a day may have 23 or 25 hours.
        next_day = datetime.fromisoformat(text) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise ValueError(_NO_DAY) from None
    begin_of_day(text, zone)
    return begin_of_day(next_day.date().isoformat(), zone)


def last_day(end: datetime, zone: tzinfo) -> str:
    """Returns the day that ends at *end*, as a form has it."""
    return (end - timedelta(microseconds=1)).astimezone(zone).date().isoformat()
