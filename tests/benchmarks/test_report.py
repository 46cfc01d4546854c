"""The results page."""

from __future__ import annotations

import pytest

from benchmarks import report
from benchmarks.comparing import Comparison, Measuring, Sample
from benchmarks.results import Figure, Growth, Results

PAIRS = [
    (Sample(rate, 1.0, 0.1), Sample(base, 1.0, 0.1))
    for rate, base in ((50, 100), (6, 10), (900, 1000))
]


def page(results: Results) -> str:
    return report.page(
        results,
        command="make bench",
        measuring=Measuring(3, 2.0),
        minutes=8.4,
        machine={"cores": "2"},
        versions={"Python": "3"},
    )


@pytest.mark.parametrize(("owed", "met"), [("0.80", "**missed**"), ("0.60", "met"), ("", "-")])
def test_a_ratio_is_the_median_of_pairs_and_owed_by_it(owed: str, met: str) -> None:
    """A row's ratio is the median of its pairs' ratios, whatever the machine did between pairs."""
    results = Results(lambda _: None)
    results.add(Comparison("ours", "theirs", owed, "0.90", ("wrk", "wrk"), PAIRS))
    cells = f"0.60 (0.50 to 0.90) | {owed or '-'} | 0.90 | {met} |"
    assert f"| ours | theirs | **0.60** (0.50 to 0.90) | {cells}" in page(results)


def test_figures_and_growths_are_told_and_written() -> None:
    """Each result is told when it is there, and has its row."""
    told: list[object] = []
    results = Results(told.append)
    results.add(Figure("memory", "800 bytes", "≤ 1 KiB", "", met=True))
    results.add(Figure("rows on PostgreSQL", "not measured: there is none"))
    results.add(Growth(("keys", "rate"), [("10", "1,000"), ("100", "999")]))
    assert len(told) == 3
    written = page(results)
    assert "| memory | **800 bytes** | ≤ 1 KiB | - | met |" in written
    assert "| rows on PostgreSQL | not measured: there is none | - | - | - |" in written
    assert "| keys | rate |\n| --- | --- |\n| 10 | 1,000 |\n| 100 | 999 |" in written
    assert report.line(results.of(Growth)[0]) == "10 keys, 1,000 rate\n100 keys, 999 rate"
