"""The client's cache, seen from within the process that uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.authority import Authority, running_authority
from benchmarks.comparing import Measuring
from benchmarks.filling import fill
from benchmarks.processes import probe
from benchmarks.results import Figure

OWED: Final = 600_000
OWED_BYTES: Final = 800
WARM_UP: Final = 2_000
CAPACITY: Final = 100_000
PUTS: Final = 50_000
OWED_AT_BOUND: Final = 0.2
"""How fast a put into a full cache has to be, as a share of one into a cache with room."""


def in_process(measuring: Measuring, authority: Authority, secrets: Sequence[str]) -> list[Figure]:
    """Measures `Verifier.verify` and `peek`, calls a second from the cache on one core."""
    plan = {"seconds": measuring.seconds / 2, "runs": measuring.pairs}
    rates = _probe_verifier("in_process", authority, secrets, plan)
    met = median(wall for wall, _ in rates["verify"]) >= OWED
    what = "`Verifier.verify()` in process, cached"
    return [
        Figure(what, _rates(rates["verify"]), f"{OWED:,} /s", "1 M /s", met),
        Figure("`Verifier.peek()`, the same without `await`", _rates(rates["peek"])),
    ]


def memory(count: int, scratch: Path) -> Figure:
    """Measures resident memory for each of *count* verdicts in a verifier's cache."""
    data_dir = scratch / "memory"
    with running_authority(data_dir, scratch) as authority:
        workspace_id = authority.create_workspace()
    secrets = fill(data_dir, workspace_id, count + WARM_UP, count + WARM_UP)
    with running_authority(data_dir, scratch) as authority:
        size = _probe_verifier("memory", authority, secrets, {"warm_up": WARM_UP}) / count
    return Figure(
        "resident memory per cached verdict (2 scopes, no labels)",
        f"{size:,.0f} bytes, of {count:,} verdicts",
        f"≤ {OWED_BYTES} bytes",
        "500 bytes",
        size <= OWED_BYTES,
    )


def full_cache(measuring: Measuring) -> Figure:
    """Measures a put into a full cache of 100,000 answers, against one with room."""
    runs = probe("full_cache", {"capacity": CAPACITY, "puts": PUTS, "runs": measuring.pairs})
    ratio = median(with_room / at_bound for with_room, at_bound, _ in runs)
    seconds = median(at_bound for _, at_bound, _ in runs) / PUTS
    longest = median(longest for *_, longest in runs)
    return Figure(
        f"a put into a full cache of {CAPACITY:,} answers in use, against one with room",
        f"{ratio:.2f} times as fast, {seconds * 1e6:.1f} µs, longest {longest * 1e3:.1f} ms",
        f"{OWED_AT_BOUND} times",
        "",
        ratio >= OWED_AT_BOUND,
    )


def _rates(runs: Sequence[tuple[float, float]]) -> str:
    wall, cpu = (median(rates) for rates in zip(*runs, strict=True))
    return f"{wall:,.0f} /s ({cpu:,.0f} by CPU time)"


def _probe_verifier(
    name: str, authority: Authority, secrets: Sequence[str], further: Mapping[str, object]
) -> Any:
    plan = {"address": authority.address, "token_file": str(authority.token_file)}
    return probe(name, {**plan, "secrets": [*secrets], **further})
