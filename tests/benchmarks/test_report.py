"""The results page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchmarks import report
from benchmarks.__main__ import write
from benchmarks.comparing import Comparison, Measuring, Sample
from benchmarks.processes import BenchmarkError
from benchmarks.results import Figure, Growth, Results

PAIRS = [
    (Sample(rate, 1.0, 0.1), Sample(base, 1.0, 0.1))
    for rate, base in ((50, 100), (6, 10), (900, 1000))
]


def page(results: Results, failure: str = "") -> str:
    return report.page(
        results,
        command="make bench",
        measuring=Measuring(3, 2.0),
        minutes=8.4,
        machine={"cores": "2"},
        versions={"Python": "3"},
        failure=failure,
    )


@pytest.mark.parametrize(("owed", "met"), [("0.80", "**missed**"), ("0.60", "met"), ("", "-")])
def test_a_ratio_is_the_median_of_pairs_and_owed_by_it(owed: str, met: str) -> None:
    """A row's ratio is the median of its pairs' ratios, whatever the machine did between pairs."""
    results = Results(lambda _: None)
    results.add(Comparison("ours", "theirs", owed, "0.90", ("wrk", "wrk"), PAIRS))
    cells = f"0.60 (0.50 to 0.90) | {owed or '-'} | 0.90 | {met} |"
    assert f"| ours | theirs | **0.60** (0.50 to 0.90) | {cells}" in page(results)


def test_a_ratio_by_cpu_time_is_owed_by_that() -> None:
    """However many answers there were in the time."""
    slow, base = Sample(50, 0.5, 0.1), Sample(100, 0.9, 0.1)
    results = Results(lambda _: None)
    for by_cpu in (True, False):
        row = Comparison(
            "ours", "theirs", "0.85", "0.95", ("wrk", "wrk"), [(slow, base)], by_cpu=by_cpu
        )
        assert row.met is by_cpu
        results.add(row)
    assert "| 0.50 (0.50 to 0.50) | **0.90** (0.90 to 0.90) | 0.85 | 0.95 | met |" in page(results)


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


def test_a_run_that_ended_early_says_so_beside_what_it_measured() -> None:
    """A run that failed keeps its rows and says why it ended."""
    results = Results(lambda _: None)
    results.add(Figure("memory", "800 bytes", "≤ 1 KiB", "", met=True))
    written = page(results, failure="authority: no lease\nits log")
    assert "**The run ended early" in written
    assert "\n    authority: no lease\n    its log\n" in written
    assert "| memory | **800 bytes** |" in written
    assert "ended early" not in page(results)


def test_a_failed_run_writes_what_it_measured(tmp_path: Path) -> None:
    """The results are written although the run ends with an error, whatever the error is."""

    def failing(error: Exception, output: Path) -> Callable[[], None]:
        def measure(results: Results, _: Path) -> None:
            results.add(Figure("memory", "800 bytes"))
            raise error

        return lambda: write(measure, Measuring(1, 1.0), output)

    for error in (BenchmarkError("no lease"), ValueError("no number")):
        output = tmp_path / f"{type(error).__name__}.md"
        run = CliRunner().invoke(click.command()(failing(error, output)))
        assert run.exit_code == 1
        assert "| memory | 800 bytes |" in output.read_text()
        assert str(error) in output.read_text()


def test_rows_that_could_not_be_measured_keep_no_others_out() -> None:
    """What was measured of them stays, the page says why the rest is missing, and others follow."""

    def rows() -> Iterator[Figure]:
        yield Figure("first", "1")
        raise BenchmarkError("a revocation waited for 5 sessions only")

    results = Results(lambda _: None)
    results.add_or_miss("many verifiers", rows())
    results.add_or_miss("others", [Figure("next", "2")])
    written = page(results)
    assert "    many verifiers: a revocation waited for 5 sessions only\n" in written
    assert "| many verifiers | not measured: see the beginning of this page |" in written
    assert "| first | 1 |" in written
    assert "| next | 2 |" in written
