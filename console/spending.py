"""What a workspace spends: by day, key and model, and how long its credits last at that rate."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from console import plots
from console.moments import begin_of_day, zone_of
from console.plots import DAYS, DayPlot, SharePlot, Spent
from console.visit import Visit
from keyauthority.client.admin import Group, Usage, UsageSum

_WEEK: Final = timedelta(days=7)
_LONGEST: Final = timedelta(days=3650)
"""Beyond this a rate foretells nothing."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent in the last 30 days, by what; `week` is what the last 7 days cost."""

    by_day: DayPlot
    by_key: SharePlot
    by_model: SharePlot
    week: int

    def lasts_until(self, balance: int, now: datetime) -> datetime | None:
        """Returns when *balance* is spent at the rate of the last 7 days; None if there is no saying."""
        if balance <= 0 or self.week <= 0:
            return None
        seconds = balance * int(_WEEK.total_seconds()) // self.week
        return now + timedelta(seconds=seconds) if seconds < _LONGEST.total_seconds() else None


async def read(visit: Visit) -> Spending | None:
    """Returns what the workspace spends; None if that can't be had now."""
    by_day, by_key, by_model, week = await asyncio.gather(
        _usage(visit, Group.DAY),
        _usage(visit, Group.KEY),
        _usage(visit, Group.MODEL),
        visit.authority.usage(visit.workspace_id, start=visit.now - _WEEK, end=visit.now),
    )
    if by_day is None or by_key is None or by_model is None or week is None:
        return None
    days = {one.day: _spent(one) for one in by_day.sums if one.day is not None}
    today = visit.now.astimezone(zone_of(visit.me.time_zone)).date()
    return Spending(
        plots.by_day(days, today),
        plots.by_share({one.key_id: _spent(one) for one in by_key.sums}),
        plots.by_share({one.model: _spent(one) for one in by_model.sums}),
        sum(one.cost for one in week.sums),
    )


async def of_keys(visit: Visit) -> dict[str, int] | None:
    """Returns what each key cost in the last 30 days, by one call; None if that can't be had now."""
    usage = await _usage(visit, Group.KEY)
    return None if usage is None else {one.key_id: one.cost for one in usage.sums}


async def _usage(visit: Visit, group: Group) -> Usage | None:
    zone = zone_of(visit.me.time_zone)
    first = visit.now.astimezone(zone).date() - timedelta(days=DAYS - 1)
    return await visit.authority.usage(
        visit.workspace_id,
        start=begin_of_day(first.isoformat(), zone),
        end=visit.now,
        by=[group],
        # A zone that is no more is UTC, here as elsewhere.
        time_zone="" if zone is UTC else visit.me.time_zone,
    )


def _spent(one: UsageSum) -> Spent:
    return Spent(one.cost, one.charges)
