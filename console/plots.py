"""Plots of what was spent, as places in a drawing. All is reckoned in integers: money is no float."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

DAYS: Final = 30
"""Days of a plot by day, the last of which is not over yet."""
_STEPS: Final = (1, 2, 5, 10)
_HUNDRED: Final = 100
_MOST_BARS: Final = 6
_DAY_WIDTH: Final = 10
"""Of a day, in the units of the drawing, which is 100 units high."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a number of requests cost, in nano-credits."""

    cost: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class DayBar:
    """A day; `x`, `y` and `height` are its bar's in the drawing."""

    day: date
    spent: Spent
    x: int
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class DayPlot:
    """Bars by day, oldest first, below a `top` that is a round number of nano-credits."""

    bars: Sequence[DayBar]
    top: int
    total: Spent

    @property
    def width(self) -> int:
        """The width of the drawing in its units."""
        return len(self.bars) * _DAY_WIDTH

    @property
    def highest(self) -> DayBar:
        """The day that cost most."""
        return max(self.bars, key=lambda bar: bar.spent.cost)


@dataclass(frozen=True, slots=True)
class ShareBar:
    """A key or a model: `width` is its bar's, of 100; `share` its part of all, such as `43 %`.

    Several that cost least are one bar without an `id`; `others` is their number.
    """

    id: str
    spent: Spent
    width: str
    share: str
    others: int = 0


@dataclass(frozen=True, slots=True)
class SharePlot:
    """Bars by key or model, the dearest first; `rows` are all of them, for the table."""

    bars: Sequence[ShareBar]
    rows: Sequence[tuple[str, Spent]]


def by_day(spent: Mapping[date, Spent], today: date) -> DayPlot:
    """Returns the plot of the last 30 days."""
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    costs = {day: spent.get(day, Spent()) for day in days}
    top = _round_up(max((one.cost for one in costs.values()), default=0))
    bars = [_day_bar(number, day, costs[day], top) for number, day in enumerate(days)]
    return DayPlot(bars, top, total(costs.values()))


def by_share(spent: Mapping[str, Spent]) -> SharePlot:
    """Returns the plot of what each name cost."""
    rows = sorted(spent.items(), key=lambda item: (-item[1].cost, item[0]))
    most = max((one.cost for one in spent.values()), default=0)
    whole = sum(max(one.cost, 0) for one in spent.values())
    first, rest = rows[:_MOST_BARS], rows[_MOST_BARS:]
    if len(rest) == 1:
        first, rest = rows, []
    bars = [_share_bar(name, one, most, whole) for name, one in first]
    if rest:
        others = total(one for _, one in rest)
        bars.append(_share_bar("", others, max(most, others.cost), whole, len(rest)))
    return SharePlot(bars, rows)


def total(spent: Iterable[Spent]) -> Spent:
    """Returns what all of them cost together."""
    cost = requests = 0
    for one in spent:
        cost += one.cost
        requests += one.requests
    return Spent(cost, requests)


def _day_bar(number: int, day: date, spent: Spent, top: int) -> DayBar:
    height = _hundredths(spent.cost, top)
    return DayBar(
        day, spent, number * _DAY_WIDTH, _units(_HUNDRED * _HUNDRED - height), _units(height)
    )


def _share_bar(name: str, spent: Spent, most: int, whole: int, others: int = 0) -> ShareBar:
    return ShareBar(
        name, spent, _units(_hundredths(spent.cost, most)), _share(spent.cost, whole), others
    )


def _share(cost: int, whole: int) -> str:
    if cost <= 0 or whole <= 0:
        return "0 %"
    percent = (cost * _HUNDRED + whole // 2) // whole
    return f"{percent} %" if percent else "less than 1 %"


def _hundredths(cost: int, top: int) -> int:
    # Hundredths of the drawing's 100 units. Refunds can make a cost negative: there is no bar then,
    # and the table has the number. What cost anything is to be seen.
    if cost <= 0 or top <= 0:
        return 0
    return max(cost * _HUNDRED * _HUNDRED // top, _HUNDRED)


def _units(hundredths: int) -> str:
    return f"{hundredths // _HUNDRED}.{hundredths % _HUNDRED:02}"


def _round_up(cost: int) -> int:
    # The next number that is 1, 2 or 5 and zeros.
    if cost <= 0:
        return 0
    size: int = 10 ** (len(str(cost)) - 1)
    return next(step * size for step in _STEPS if step * size >= cost)
