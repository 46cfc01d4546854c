"""Plots show what was spent: true to scale, whole, and without a float."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.plots import DAYS, Spent, by_day, by_share, total

TODAY = date(2026, 11, 27)
COSTS = st.integers(-(10**17), 10**17)


def spent(cost: int) -> Spent:
    return Spent(cost, 1)


@given(st.dictionaries(st.integers(0, DAYS - 1), COSTS))
def test_bars_of_days_are_true_to_scale(costs: dict[int, int]) -> None:
    """A day for each of thirty, the last is today; none higher than the drawing, none lost."""
    plot = by_day(
        {TODAY - timedelta(days=back): spent(cost) for back, cost in costs.items()}, TODAY
    )
    assert [bar.day for bar in plot.bars] == [
        TODAY - timedelta(days=back) for back in reversed(range(DAYS))
    ]
    assert plot.total == Spent(sum(costs.values()), len(costs))
    for bar in plot.bars:
        cost, height = bar.spent.cost, Fraction(bar.height)
        assert Fraction(bar.y) + height == 100
        if cost <= 0:
            assert height == 0
        else:
            assert 0 < height <= 100
            assert height == 1 or abs(height - Fraction(100 * cost, plot.top)) < Fraction(1, 100)


@pytest.mark.parametrize(
    ("cost", "top"),
    [(0, 0), (-5, 0), (1, 1), (3, 5), (5, 5), (6, 10), (10, 10), (11, 20), (987_654_321, 10**9)],
)
def test_the_scale_ends_with_a_round_number(cost: int, top: int) -> None:
    """One, two or five and zeros: the next one that is no smaller."""
    assert by_day({TODAY: spent(cost)}, TODAY).top == top


def test_what_was_spent_before_is_not_in_the_plot() -> None:
    """Nor what comes later."""
    days = {TODAY - timedelta(days=DAYS): spent(5), TODAY + timedelta(days=1): spent(5)}
    assert by_day(days, TODAY).total == Spent()


@given(st.dictionaries(st.text(min_size=1, max_size=3), COSTS, max_size=20))
def test_bars_of_names_are_whole(costs: dict[str, int]) -> None:
    """The dearest first, the cheapest in one bar; together they are all there is."""
    plot = by_share({name: spent(cost) for name, cost in costs.items()})
    assert total(bar.spent for bar in plot.bars) == Spent(sum(costs.values()), len(costs))
    assert [name for name, _ in plot.rows] == sorted(costs, key=lambda name: (-costs[name], name))
    assert sum(bar.others or 1 for bar in plot.bars) == len(costs)
    assert len(plot.bars) <= 7
    assert all(bar.others != 1 for bar in plot.bars)
    assert all(0 <= Fraction(bar.width) <= 100 for bar in plot.bars)


def test_shares_are_in_percent() -> None:
    """Rounded, and what is less than one is said to be."""
    plot = by_share({"a": spent(6_660), "b": spent(3_330), "c": spent(10), "d": spent(-5)})
    assert [(bar.id, bar.share) for bar in plot.bars] == [
        ("a", "67 %"),
        ("b", "33 %"),
        ("c", "less than 1 %"),
        ("d", "0 %"),
    ]
