"""The results, for a person to read."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from benchmarks.comparing import Comparison
from benchmarks.revoking import Latencies

_HEADINGS = (
    "what",
    "against",
    "ratio",
    "by CPU time",
    "owed",
    "aim",
    "ours /s",
    "theirs /s",
    "server CPU",
    "load CPU",
    "load",
)

_EXPLANATION = """\
Made by `{command}` on {date}; each number is from that one run. Each server, and each load \
generator, is a process of its own, on uvloop where it is Python; metrics are on, the access log is \
off on both sides unless the row says otherwise. Both sides of a row are loaded in turn, \
{pairs} times for {seconds:g} s each, after a warm-up; **ratio** is the median of the ratios \
of the {pairs} pairs, with the least and the greatest. Above 1 we are the faster one.

**By CPU time** compares the CPU time that each of the two servers (not what stands behind it) \
takes for an answer. **Server CPU** and **load CPU** are cores kept busy, ours / theirs: a load \
generator well below one core, beside a server near one, was not the bottleneck. Only good \
answers count: for HTTP the generator sees to that, for gRPC the authority's own counters do.

The machine was shared with other work while this ran, and servers, generator and upstream \
share its cores. Absolute numbers are for orientation only; where the spread of a ratio is wide, the \
one by CPU time is the steadier."""

_REMARKS = """\
- No verdict is cached yet, neither in the authority nor in the gateway: every `Verify` reads the \
database, and every request to the gateway is a call to the authority, which competes with it for \
the cores. What is **owed** there, and the **aim**, are goals for cached verdicts.
- `RevokeKey` is measured one call at a time, each durable (`synchronous=FULL`) when it returns, \
without connected verifiers; unlike a ratio it takes on whatever else the \
machine does."""


def row(comparison: Comparison) -> list[str]:
    """One comparison as the cells of a row."""
    return [
        comparison.what,
        comparison.against,
        f"**{_spread(comparison.ratios)}",
        _spread(comparison.cost_ratios).replace("**", ""),
        comparison.owed or "-",
        comparison.aim or "-",
        f"{comparison.median(0, 'rate'):,.0f}",
        f"{comparison.median(1, 'rate'):,.0f}",
        _both(comparison, "server_cpu"),
        _both(comparison, "load_cpu"),
        " / ".join(dict.fromkeys(comparison.loads)),
    ]


def line(comparison: Comparison) -> str:
    """One comparison as a line for a terminal."""
    return (
        f"{comparison.what}, against {comparison.against}: "
        f"{_spread(comparison.ratios).replace('**', '')}, owed {comparison.owed or '-'}; "
        f"{comparison.median(0, 'rate'):,.0f}/s and {comparison.median(1, 'rate'):,.0f}/s"
    )


def latency_line(latencies: Latencies) -> str:
    """The revocations as a line for a terminal."""
    return (
        f"RevokeKey on SQLite, {latencies.count} calls: p50 {latencies.p50:.1f} ms, "
        f"p99 {latencies.p99:.1f} ms, worst {latencies.worst:.1f} ms; owed p99 25 ms"
    )


def page(
    comparisons: Sequence[Comparison],
    latencies: Latencies,
    *,
    command: str,
    seconds: float,
    machine: Mapping[str, str],
    versions: Mapping[str, str],
) -> str:
    """All of it, as Markdown."""
    explanation = _EXPLANATION.format(
        command=command,
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        pairs=len(comparisons[0].pairs),
        seconds=seconds,
    )
    latency = [f"{latencies.p50:.1f}", f"{latencies.p99:.1f}", f"{latencies.worst:.1f}", "25", "10"]
    return (
        "\n\n".join(
            [
                "# Results",
                explanation,
                _table(_HEADINGS, map(row, comparisons)),
                _table(
                    ("what", "calls", "p50 ms", "p99 ms", "worst ms", "p99 owed", "aim"),
                    [["`RevokeKey`, SQLite", str(latencies.count), *latency]],
                ),
                _REMARKS,
                "## Machine",
                _table(
                    ("", ""), [[name, value] for name, value in {**machine, **versions}.items()]
                ),
            ]
        )
        + "\n"
    )


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"


def _both(comparison: Comparison, field: str) -> str:
    return f"{comparison.median(0, field):.2f} / {comparison.median(1, field):.2f}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
