"""What it costs that many keys are stored."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority, authority
from benchmarks.comparing import Comparison, Measuring
from benchmarks.figures import Growth
from benchmarks.filling import fill
from benchmarks.rows.revoking import revocations
from benchmarks.verify_calls import verify_side

FEW: Final = 1_000
USABLE: Final = 20_000
"""Of how many stored keys, at most, a secret is presented."""

REVOKED: Final = 50


@dataclass(frozen=True, slots=True)
class Books:
    """A data directory with so many keys, and the secrets of some of them."""

    data_dir: Path
    count: int
    workspace_id: str
    secrets: list[str]


def books(count: int, scratch: Path) -> Books:
    """Fresh ones, in SQLite, with *count* keys."""
    data_dir = scratch / f"{count}-keys"
    with authority(data_dir, scratch) as fresh:
        workspace_id = fresh.create_workspace()
    return Books(
        data_dir, count, workspace_id, fill(data_dir, workspace_id, count, min(count, USABLE))
    )


def many(measuring: Measuring, large: Books, small: Books, logs: Path) -> Comparison:
    """`Verify` of keys at random, past the authority's memory, in both books."""
    with ExitStack() as stack:
        sides = []
        for one in (large, small):
            running = stack.enter_context(authority(one.data_dir, logs))
            running.verify(one.secrets[0])
            sides.append(verify_side(running, one.secrets, fresh=True))
        return measuring.compare(
            f"`Verify` over gRPC, key not in memory, {large.count:,} keys stored",
            sides[0],
            f"the same with {small.count:,} stored",
            sides[1],
            owed="0.80",
            aim="1.0",
        )


def up_to(most: int) -> list[int]:
    """So many keys are stored: few, ten times as many, and so on until *most*."""
    counts = [FEW]
    while counts[-1] * 10 < most:
        counts.append(counts[-1] * 10)
    return [*counts, most]


def growth(seconds: float, grown: Sequence[Books], logs: Path) -> Growth:
    """What single calls cost in each of the books."""
    rows = []
    for one in grown:
        with authority(one.data_dir, logs) as running:
            rows.append((f"{one.count:,}", *_costs(seconds, running, one)))
    return Growth(("keys stored", "`Verify` of a key not in memory /s", "`RevokeKey` p50 ms"), rows)


def _costs(seconds: float, running: Authority, one: Books) -> tuple[str, str]:
    sample = verify_side(running, one.secrets, fresh=True).sample(seconds)
    took = revocations([running], one.workspace_id, REVOKED)
    return f"{sample.rate:,.0f}", f"{took.p50:.1f}"
