"""Everything that is measured, in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import postgres
from benchmarks.authority import running_authority
from benchmarks.comparing import Measuring
from benchmarks.results import Figure, Results
from benchmarks.rows import client, cutting, replicas, revoking, stored, verifying
from benchmarks.rows.edge import Edge

BATCH: Final = 100
REPLICAS: Final = 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done: keys stored, revocations timed, changes with a verifier out of reach,
    verdicts whose memory is measured.
    """

    keys: int
    revocations: int
    changes: int
    verdicts: int


def run(measuring: Measuring, sizes: Sizes, results: Results, scratch: Path) -> None:
    """Measures everything; raises `BenchmarkError` if anything isn't what it should be."""
    _calls(measuring, sizes, results, scratch)
    books = [stored.books(count, scratch) for count in stored.up_to(sizes.keys)]
    results.add(stored.many(measuring, books[-1], books[0], scratch))
    results.add(stored.growth(measuring.seconds, books, scratch))
    results.add(client.memory(sizes.verdicts, scratch))
    try:
        with postgres.server() as url:
            results.versions["PostgreSQL"] = postgres.version(url)
            _replicas(measuring, sizes, results, url, scratch)
    except postgres.NoPostgresError as reason:
        results.add(Figure("rows on PostgreSQL", f"not measured: {reason}"))


def _calls(measuring: Measuring, sizes: Sizes, results: Results, scratch: Path) -> None:
    with running_authority(scratch / "data", scratch) as authority:
        secrets = [secret for _, secret in authority.issue(BATCH, authority.create_workspace())]
        results.add(verifying.verify(measuring, authority, secrets[0], scratch))
        results.add(verifying.batch(measuring, authority, secrets))
        for comparison in Edge(measuring, authority, secrets[0], scratch).comparisons():
            results.add(comparison)
        results.add(*client.in_process(measuring, authority, secrets))
        results.add(client.full_cache(measuring))
        revoked, where = sizes.revocations, "SQLite"
        results.add(revoking.revoking(where, [authority], revoked, scratch, owed=25, aim=10))
        results.add(cutting.frozen(where, authority, sizes.changes, scratch))
        results.add(cutting.cut_off(where, authority, sizes.changes, scratch))
        results.add(revoking.growth(where, [authority], revoked // 3, scratch))


def _replicas(
    measuring: Measuring, sizes: Sizes, results: Results, url: str, scratch: Path
) -> None:
    revoked, where = sizes.revocations, f"PostgreSQL, {REPLICAS} replicas"
    with replicas.running_replicas(url, REPLICAS, scratch) as running:
        results.add(revoking.revoking(where, running, revoked, scratch, owed=100, aim=40))
        results.add(cutting.frozen(where, running[0], sizes.changes, scratch))
        results.add(cutting.cut_off(where, running[0], sizes.changes, scratch))
        results.add(revoking.growth(where, running, revoked // 3, scratch))
    results.add(replicas.growth(url, measuring.seconds, revoked // 3, scratch))
