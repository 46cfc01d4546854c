"""The results, for a person to read."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from benchmarks.comparing import Comparison, Measuring
from benchmarks.figures import Figure
from benchmarks.report_text import EXPLANATION, REMARKS
from benchmarks.results import Result, Results

_COMPARISON: Final = (
    "what",
    "against",
    "ratio",
    "by CPU time",
    "owed",
    "aim",
    "owed is",
    "ours /s",
    "theirs /s",
    "server CPU",
    "load CPU",
    "load",
)
_MET: Final = {True: "met", False: "**missed**", None: "-"}
_FIGURE: Final = ("what", "found", "owed", "aim", "owed is")


def line(result: Result) -> str:
    """One result as a line for a terminal."""
    if isinstance(result, Comparison):
        cells = _comparison(result)
    elif isinstance(result, Figure):
        cells = _figure(result)
    else:
        rows = [
            ", ".join(map(" ".join, zip(row, result.headings, strict=True))) for row in result.rows
        ]
        return "\n".join(rows)
    return " | ".join(cells).replace("**", "")


def page(
    results: Results,
    *,
    command: str,
    measuring: Measuring,
    minutes: float,
    machine: Mapping[str, str],
    versions: Mapping[str, str],
) -> str:
    """All of it, as Markdown."""
    explanation = EXPLANATION.format(
        command=command,
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        minutes=minutes,
        pairs=measuring.pairs,
        seconds=measuring.seconds,
    )
    parts = [
        "# Results",
        explanation,
        "## Ratios",
        _table(_COMPARISON, map(_comparison, results.comparisons)),
        "## By themselves",
        _table(_FIGURE, map(_figure, results.figures)),
        "## As it grows",
        "Nothing is owed here.",
        *(_table(growth.headings, growth.rows) for growth in results.growths),
        "## Remarks",
        REMARKS,
        "## Machine",
        _table(("", ""), {**machine, **versions}.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _comparison(comparison: Comparison) -> list[str]:
    return [
        comparison.what,
        comparison.against,
        f"**{statistics.median(comparison.ratios):.2f}** {_range(comparison.ratios)}",
        f"{statistics.median(comparison.cost_ratios):.2f} {_range(comparison.cost_ratios)}",
        comparison.owed or "-",
        comparison.aim or "-",
        _MET[comparison.met],
        f"{comparison.median(0, 'rate'):,.0f}",
        f"{comparison.median(1, 'rate'):,.0f}",
        _both(comparison, "server_cpu"),
        _both(comparison, "load_cpu"),
        " / ".join(dict.fromkeys(comparison.loads)),
    ]


def _figure(figure: Figure) -> list[str]:
    return [
        figure.what,
        f"**{figure.found}**" if figure.owed else figure.found,
        figure.owed or "-",
        figure.aim or "-",
        _MET[figure.met],
    ]


def _range(ratios: Sequence[float]) -> str:
    return f"({min(ratios):.2f} to {max(ratios):.2f})"


def _both(comparison: Comparison, field: str) -> str:
    return f"{comparison.median(0, field):.2f} / {comparison.median(1, field):.2f}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
