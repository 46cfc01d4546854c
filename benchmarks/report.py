"""The results, for a person to read."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from benchmarks.comparing import Comparison, Measuring
from benchmarks.results import Figure, Growth, Result, Results

_EXPLANATION: Final = """\
Made by `{command}` on {date}, in {minutes:.0f} minutes; each number is from that one run. Each \
server, each load generator and the verifiers of a row are processes of their own, on uvloop where \
they are Python. Metrics are on; the access log is off on both sides unless the row says otherwise. \
A row of ratios is loaded on both sides in turn, {pairs} times for {seconds:g} s each, after a \
warm-up, in either order; **ratio** is the median of the ratios of the {pairs} pairs, with the least \
and the greatest. Above 1 we are the faster one.

**By CPU time** compares the CPU time that each of the two servers (not what stands behind it) \
takes for an answer. **Server CPU** and **load CPU** are cores kept busy, ours / theirs: a load \
generator well below one core, beside a server near one, was not the bottleneck. Only good answers \
count, and a run with any other gives no number: for HTTP the generator sees to that, for gRPC the \
authority's own counters do.

Servers, generators, verifiers and databases share the machine's cores. Absolute numbers are for \
orientation only; where the spread of a ratio is wide, the one by CPU time is the steadier. **Owed** \
may not be missed, by the median ratio that is bold: by CPU time, and of twice as many pairs, where a \
difference is small beside the spread. **Aim** is what we would like."""

_REMARKS: Final = """\
- Verdicts are cached, in the authority and in the gateway, and both hold a lease meanwhile. Keys \
"not in memory" are verified with `fresh`, which no cache may answer, at random places of the books.
- Where many keys are verified in turn, a generator in Python writes the frames of HTTP/2 by itself: \
h2load knows one body only.
- The gateway's rows present one key. The authority's counters show that the verdicts come from \
the gateway's cache. With `--cache off` they come from the database, though simultaneous requests \
with the same key share a call.
- `RevokeKey` is called one at a time where no number of callers is given. Each change is durable when it returns (`synchronous=FULL`; \
PostgreSQL with its own defaults, on the disk), and each of the connected verifiers had the key in \
its cache and has dropped it by then: checked at both ends, and by the receipts. The verifiers share \
a process.
- Where 32 callers change keys, each makes one change at a time. On SQLite a shim in the authority's \
process counts the syncs of the journal, one for each commit, and delays each where the row says so; \
on PostgreSQL each connection counts its own changes. The authority's own upkeep is counted as well.
- Of 1,000 verifiers each renews its lease at its own pace, over a connection of its own, all in one \
process on these cores; the CPU time is the authority's, of all replicas together.
- A gateway whose lease returns had no way to the authority until then, and its keys' workspace was \
suspended and resumed meanwhile, so that it has no verdict. 256 clients present its keys in turn all the \
time, and pause for 50 ms after a refusal.
- The process of a frozen verifier is stopped. For a verifier that is cut off, the wire between it \
and the authority is stopped: connections stay open and nothing gets through. Nine others are \
connected. In turn a key is paused, its secret rotated, its workspace suspended and resumed, and \
the key revoked; the verifier holds its lease before each change.
- Charges are settled through one process of the authority, each entered for good when the call \
returns; the ledgers add up afterwards. A large ledger is filled in SQL, with the indices and \
triggers it has in use; it is read by one call at a time on each of the load's streams.
- `TopUp`, `Adjust` and `RevokeKey` are called in turn. Each of the connected verifiers has a \
slice of the workspace's credits before each reduction, and none after it: checked at both ends.
- With billing on, each request is held for and charged, durably, and its charge stands in the \
ledger afterwards: that is checked. A stream has 20 pieces, one every 20 ms; the gateway asks the \
upstream for usage and takes it out again, and the client gets the same bytes as without billing. \
Streams under way at the end of a run run to their end. The calls to the authority are all it \
answers, of whatever kind, while the billing gateway is loaded; one `Settle` carries at most 500 \
charges, so two calls for 1,000 requests are the least.
- Profiles show what is left to the aims. A `Verify` from memory takes 404,000 instructions of user \
space (callgrind, 32 calls at a time, without what the authority does by itself meanwhile), and the \
bare server 374,000; each makes 31 system calls for it, all of them gRPC's. So 8 % of the instructions \
are ours. They take more than 8 % of the time, since they come cold, between the system calls and \
thread switches of gRPC. Of `/authz`, sending takes half of either server's time: each makes one read \
and one write for a request, and takes 134,000 instructions. A key that is not in memory takes a hop \
to SQLite's thread and back, and deeper indices as the books grow. A change on SQLite waits for one \
synced commit, then for the answers of ten verifiers, all on these cores.
- Resident memory is what the process grew by, after a collection of garbage, from 2,000 verdicts on.
- More processes than cores share the cores: on PostgreSQL, processes of the authority beyond these \
make nothing faster on this machine."""

_ENDED_EARLY: Final = "The run ended early: the rows after the last one here were not measured."
_MISSED: Final = "These rows could not be measured:"

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
_FIGURE: Final = ("what", "value", "owed", "aim", "owed is")


def line(result: Result) -> str:
    """Returns one result as a line for a terminal."""
    if isinstance(result, Growth):
        rows = (zip(row, result.headings, strict=True) for row in result.rows)
        return "\n".join(", ".join(map(" ".join, row)) for row in rows)
    cells = _comparison(result) if isinstance(result, Comparison) else _figure(result)
    return " | ".join(cells).replace("**", "")


def page(
    results: Results,
    *,
    command: str,
    measuring: Measuring,
    minutes: float,
    machine: Mapping[str, str],
    versions: Mapping[str, str],
    failure: str = "",
) -> str:
    """Returns all of it, as Markdown. A *failure* says why the run ended before its last row."""
    explanation = _EXPLANATION.format(
        command=command,
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        minutes=minutes,
        pairs=measuring.pairs,
        seconds=measuring.seconds,
    )
    parts = [
        "# Results",
        explanation,
        *([_quoted(_ENDED_EARLY, failure)] if failure else []),
        *([_quoted(_MISSED, "\n".join(results.missed))] if results.missed else []),
        "## Ratios",
        _table(_COMPARISON, map(_comparison, results.of(Comparison))),
        "## By themselves",
        _table(_FIGURE, map(_figure, results.of(Figure))),
        "## As it grows",
        "Nothing is owed here.",
        *(_table(growth.headings, growth.rows) for growth in results.of(Growth)),
        "## Remarks",
        _REMARKS,
        "## Machine",
        _table(("", ""), {**machine, **versions}.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _quoted(what: str, text: str) -> str:
    quoted = "\n".join(f"    {line}" for line in text.splitlines())
    return f"**{what}**\n\n{quoted}"


def _comparison(comparison: Comparison) -> list[str]:
    return [
        comparison.what,
        comparison.against,
        _ratio(comparison.ratios, owed=not comparison.by_cpu),
        _ratio(comparison.cost_ratios, owed=comparison.by_cpu),
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
        f"**{figure.value}**" if figure.owed else figure.value,
        figure.owed or "-",
        figure.aim or "-",
        _MET[figure.met],
    ]


def _ratio(ratios: Sequence[float], *, owed: bool) -> str:
    median = f"{statistics.median(ratios):.2f}"
    return f"{f'**{median}**' if owed else median} ({min(ratios):.2f} to {max(ratios):.2f})"


def _both(comparison: Comparison, field: str) -> str:
    return f"{comparison.median(0, field):.2f} / {comparison.median(1, field):.2f}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
