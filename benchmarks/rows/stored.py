"""What it costs that many keys are stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority, running_authority
from benchmarks.comparing import Comparison, Measuring
from benchmarks.filling import fill
from benchmarks.results import Growth
from benchmarks.rows.revoking import revoke_all
from benchmarks.rows.verifying import verify_side

FEW: Final = 1_000
USABLE: Final = 20_000
"""Stored keys, at most, whose secrets are presented."""

IN_MEMORY: Final = 100
"""Keys in the authority's memory that are verified in turn."""

REVOKED: Final = 50


@dataclass(frozen=True, slots=True)
class Books:
    """A data directory with `count` keys, and the secrets of some of them."""

    data_dir: Path
    count: int
    workspace_id: str
    secrets: list[str]


def books(count: int, scratch: Path) -> Books:
    """Returns fresh ones, in SQLite, with *count* keys."""
    data_dir = scratch / f"{count}-keys"
    with running_authority(data_dir, scratch) as authority:
        workspace_id = authority.create_workspace()
    secrets = fill(data_dir, workspace_id, count, min(count, USABLE))
    return Books(data_dir, count, workspace_id, secrets)


def many(measuring: Measuring, large: Books, small: Books, logs: Path) -> Iterator[Comparison]:
    """Compares `Verify` of keys at random, past the authority's memory.

    In both books, and in the large ones with `Verify` of keys that are in memory.
    """
    what = f"`Verify` over gRPC, key not in memory, {large.count:,} keys stored"
    with ExitStack() as stack:
        running = [
            stack.enter_context(running_authority(stored.data_dir, logs))
            for stored in (large, small)
        ]
        for authority, stored in zip(running, (large, small), strict=True):
            authority.wait_for_verdict(stored.secrets[0])
        ours = verify_side(running[0], large.secrets, fresh=True)
        yield measuring.compare(
            what,
            ours,
            f"the same with {small.count:,} stored",
            verify_side(running[1], small.secrets, fresh=True),
            owed="0.85",
            aim="1.0",
        )
        yield measuring.compare(
            what,
            ours,
            f"the same, key in memory ({IN_MEMORY} keys)",
            verify_side(running[0], large.secrets[:IN_MEMORY]),
            owed="0.60",
            aim="0.80",
        )


def up_to(most: int) -> list[int]:
    """Returns numbers of stored keys: few, ten times as many, and so on until *most*."""
    counts = [FEW]
    while counts[-1] * 10 < most:
        counts.append(counts[-1] * 10)
    return [*counts, most]


def growth(seconds: float, grown: Sequence[Books], logs: Path) -> Growth:
    """Measures single calls in each of the books."""
    rows = []
    for stored in grown:
        with running_authority(stored.data_dir, logs) as authority:
            rows.append((f"{stored.count:,}", *_costs(seconds, authority, stored)))
    return Growth(("keys stored", "`Verify` of a key not in memory /s", "`RevokeKey` p50 ms"), rows)


def _costs(seconds: float, authority: Authority, stored: Books) -> tuple[str, str]:
    sample = verify_side(authority, stored.secrets, fresh=True).sample(seconds)
    key_ids = [key_id for key_id, _ in authority.issue(REVOKED, stored.workspace_id)]
    return f"{sample.rate:,.0f}", f"{revoke_all([authority], key_ids).p50:.1f}"
