"""Everything that is measured, in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import postgres
from benchmarks.authority import authority
from benchmarks.comparing import Measuring
from benchmarks.figures import Figure
from benchmarks.results import Results
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
    _stored(measuring, sizes, results, scratch)
    results.add(client.memory(sizes.verdicts, scratch))
    try:
        with postgres.server() as url:
            results.versions["PostgreSQL"] = postgres.version(url)
            _replicas(measuring, sizes, results, url, scratch)
    except postgres.NoPostgresError as reason:
        results.add(Figure("rows on PostgreSQL", f"not measured: {reason}"))


def _calls(measuring: Measuring, sizes: Sizes, results: Results, scratch: Path) -> None:
    with authority(scratch / "data", scratch) as asked:
        secrets = [secret for _, secret in asked.issue(BATCH, asked.create_workspace())]
        results.add(verifying.verify(measuring, asked, secrets[0], scratch))
        results.add(verifying.batch(measuring, asked, secrets))
        for comparison in Edge(measuring, asked, secrets[0], scratch).comparisons():
            results.add(comparison)
        for figure in client.in_process(measuring, asked, secrets):
            results.add(figure)
        results.add(client.full_cache(measuring))
        results.add(
            revoking.revoking("SQLite", [asked], sizes.revocations, scratch, owed=25, aim=10)
        )
        results.add(cutting.frozen("SQLite", asked, sizes.changes, scratch))
        results.add(cutting.cut_off("SQLite", asked, sizes.changes, scratch))
        results.add(revoking.growth("SQLite", [asked], sizes.revocations // 3, scratch))


def _stored(measuring: Measuring, sizes: Sizes, results: Results, scratch: Path) -> None:
    counts = stored.up_to(sizes.keys)
    grown = [stored.books(count, scratch) for count in counts]
    results.add(stored.many(measuring, grown[-1], grown[0], scratch))
    results.add(stored.growth(measuring.seconds, grown, scratch))


def _replicas(
    measuring: Measuring, sizes: Sizes, results: Results, url: str, scratch: Path
) -> None:
    where = f"PostgreSQL, {REPLICAS} replicas"
    with replicas.replicas(url, REPLICAS, scratch) as asked:
        results.add(revoking.revoking(where, asked, sizes.revocations, scratch, owed=100, aim=40))
        results.add(cutting.frozen(where, asked[0], sizes.changes, scratch))
        results.add(cutting.cut_off(where, asked[0], sizes.changes, scratch))
        results.add(revoking.growth(where, asked, sizes.revocations // 3, scratch))
    results.add(replicas.growth(url, measuring.seconds, sizes.revocations // 3, scratch))
