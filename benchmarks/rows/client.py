"""The client's cache, seen from within the process that uses it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import paths
from benchmarks.authority import Authority, authority
from benchmarks.comparing import Measuring
from benchmarks.figures import Figure
from benchmarks.filling import fill
from benchmarks.processes import BenchmarkError

OWED: Final = 600_000
KIB: Final = 1024
WARM_UP: Final = 2_000
CAPACITY: Final = 100_000
PUTS: Final = 50_000
OWED_AT_BOUND: Final = 0.2
"""How fast a put into a full cache has to be, as a share of one into a cache with room."""


def in_process(measuring: Measuring, asked: Authority, secrets: Sequence[str]) -> list[Figure]:
    """`Verifier.verify` and `peek`, calls a second from the cache on one core."""
    plan = {"seconds": measuring.seconds / 2, "runs": measuring.pairs}
    found = _probe("in_process", asked, secrets, plan)
    rate = statistics.median(wall for wall, _ in found["verify"])
    return [
        Figure(
            "`Verifier.verify()` in process, cached",
            _rates(found["verify"]),
            f"{OWED:,} /s",
            "1 M /s",
            rate >= OWED,
        ),
        Figure("`Verifier.peek()`, the same without `await`", _rates(found["peek"])),
    ]


def memory(count: int, scratch: Path) -> Figure:
    """Resident memory for each of *count* verdicts in a verifier's cache."""
    data_dir = scratch / "memory"
    with authority(data_dir, scratch) as fresh:
        workspace_id = fresh.create_workspace()
    secrets = fill(data_dir, workspace_id, count + WARM_UP, count + WARM_UP)
    with authority(data_dir, scratch) as asked:
        grown = _probe("memory", asked, secrets, {"warm_up": WARM_UP})
    each = grown / count
    return Figure(
        "resident memory per cached verdict (2 scopes, no labels)",
        f"{each:,.0f} bytes, of {count:,} verdicts",
        "≤ 1 KiB",
        "",
        each <= KIB,
    )


def full_cache(measuring: Measuring) -> Figure:
    """A put into a cache of 100,000 answers that is full, against one with room."""
    runs = _run_probe("full_cache", {"capacity": CAPACITY, "puts": PUTS, "runs": measuring.pairs})
    ratio = statistics.median(with_room / at_bound for with_room, at_bound, _ in runs)
    each = statistics.median(at_bound for _, at_bound, _ in runs) / PUTS
    longest = statistics.median(longest for *_, longest in runs)
    return Figure(
        f"a put into a full cache of {CAPACITY:,} answers in use, against one with room",
        f"{ratio:.2f} times as fast, {each * 1e6:.1f} µs, longest {longest * 1e3:.1f} ms",
        f"{OWED_AT_BOUND} times",
        "",
        ratio >= OWED_AT_BOUND,
    )


def _rates(runs: Sequence[tuple[float, float]]) -> str:
    wall = statistics.median(rate for rate, _ in runs)
    cpu = statistics.median(rate for _, rate in runs)
    return f"{wall:,.0f} /s ({cpu:,.0f} by CPU time)"


def _probe(
    name: str, asked: Authority, secrets: Sequence[str], further: Mapping[str, object]
) -> Any:
    plan = {
        "address": asked.address,
        "token_file": str(paths.root_token(asked.data_dir)),
        "secrets": [*secrets],
        **further,
    }
    return _run_probe(name, plan)


def _run_probe(name: str, plan: Mapping[str, object]) -> Any:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(plan, file)
        file.flush()
        command = [sys.executable, "-m", f"benchmarks.probes.{name}", file.name]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise BenchmarkError(f"{name} failed: {run.stderr[-2000:]}")
    return json.loads(run.stdout)
