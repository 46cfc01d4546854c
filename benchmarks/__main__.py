"""`make bench`: measures, prints, and writes `benchmarks/results.md`."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from benchmarks import postgres, report
from benchmarks.authority import Authority, running_authority
from benchmarks.comparing import Measuring
from benchmarks.machine import load_average, machine, versions
from benchmarks.processes import BenchmarkError
from benchmarks.results import Figure, Results
from benchmarks.rows import (
    client,
    crediting,
    cutting,
    ledgers,
    many_verifiers,
    replicas,
    returning,
    revoking,
    settling,
    stored,
    together,
    verifying,
)
from benchmarks.rows.billing import Billed
from benchmarks.rows.edge import Edge

RESULTS: Final = Path(__file__).parent / "results.md"
BATCH: Final = 100
REPLICAS: Final = 3
MANY_REVOKED: Final = 10
"""Keys that are revoked while a thousand verifiers are connected."""


@click.command(context_settings={"show_default": True})
@click.option("--seconds", default=2.0, help="Length of each run.")
@click.option(
    "--pairs", default=6, type=click.IntRange(1), help="Runs of each side; even: either is first."
)
@click.option("--keys", default=1_000_000, type=click.IntRange(1_001), help="Keys stored, at most.")
@click.option("--entries", default=1_000_000, type=click.IntRange(10_000), help="In a ledger.")
@click.option("--revocations", default=300, type=click.IntRange(6), help="Keys revoked in a row.")
@click.option("--changes", default=5, type=click.IntRange(1), help="With a verifier cut off.")
@click.option("--together", default=1_000, type=click.IntRange(2), help="Made by many at once.")
@click.option("--verdicts", default=50_000, type=click.IntRange(1), help="Cached, for their size.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS)
def main(
    seconds: float,
    pairs: int,
    keys: int,
    entries: int,
    revocations: int,
    changes: int,
    together: int,
    verdicts: int,
    output: Path,
) -> None:
    """Measures the authority, its client and the gateway, against what they are built on."""
    measuring = Measuring(pairs, seconds)

    def measure(results: Results, scratch: Path) -> None:
        run = _Run(measuring, results, revocations, changes, together, scratch)
        run.everything(keys, entries, verdicts)

    write(measure, measuring, output)


def write(measure: Callable[[Results, Path], None], measuring: Measuring, output: Path) -> None:
    """Writes the page of what *measure* adds to the results; it gets a folder as well.

    Raises `ClickException` if it raises `BenchmarkError`, or a row could not be measured.
    """
    results = Results(lambda result: click.echo(report.line(result)))
    before, start = {**machine(), "load before": load_average()}, time.monotonic()
    failure = ""
    try:
        with tempfile.TemporaryDirectory(prefix="keyauthority-bench-") as scratch:
            measure(results, Path(scratch))
    except BenchmarkError as error:
        failure = str(error)
        raise click.ClickException(failure) from None
    except BaseException as error:
        failure = traceback.format_exception_only(error)[-1].strip()
        raise
    finally:
        # What was measured until then is worth something, however the run ended.
        minutes = (time.monotonic() - start) / 60
        arguments = f' ARGS="{" ".join(sys.argv[1:])}"' if sys.argv[1:] else ""
        page = report.page(
            results,
            command=f"make bench{arguments}",
            measuring=measuring,
            minutes=minutes,
            machine={**before, "load after": load_average()},
            versions={**versions(), **results.versions},
            failure=failure,
        )
        output.write_text(page)
        click.echo(f"written to {output} after {minutes:.1f} min")
    if results.missed:
        raise click.ClickException("not measured:\n" + "\n".join(results.missed))


@dataclass(frozen=True, slots=True)
class _Run:
    measuring: Measuring
    results: Results
    # Revocations that are timed, and changes with a verifier out of reach.
    revocations: int
    changes: int
    # Changes of a kind that 32 callers make.
    together: int
    scratch: Path

    def everything(self, keys: int, entries: int, verdicts: int) -> None:
        """Measures all rows: so many *keys* stored, *entries* in a ledger, and *verdicts* cached.

        Raises `BenchmarkError` if anything isn't what it should be.
        """
        measuring, results, scratch = self.measuring, self.results, self.scratch
        self._on_sqlite()
        books = [stored.books(count, scratch) for count in stored.up_to(keys)]
        for comparison in stored.many(measuring, books[-1], books[0], scratch):
            results.add(comparison)
        results.add(stored.growth(measuring.seconds, books, scratch))
        results.add(client.memory(verdicts, scratch))
        for comparison in ledgers.reading(measuring, entries, scratch):
            results.add(comparison)
        try:
            with postgres.server() as url:
                results.versions["PostgreSQL"] = postgres.version(url)
                self._on_postgres(url)
        except postgres.NoPostgresError as reason:
            results.add(Figure("rows on PostgreSQL", f"not measured: {reason}"))

    def _on_sqlite(self) -> None:
        measuring, results, scratch, where = self.measuring, self.results, self.scratch, "SQLite"
        with running_authority(scratch / "data", scratch) as authority:
            secrets = [secret for _, secret in authority.issue(BATCH, authority.create_workspace())]
            results.add(verifying.verify(measuring, authority, secrets[0], scratch))
            results.add(verifying.batch(measuring, authority, secrets))
            for comparison in Edge(measuring, authority, secrets[0], scratch).comparisons():
                results.add(comparison)
            for result in Billed.prepared(measuring, authority, scratch).results():
                results.add(result)
            results.add(settling.settling(where, authority, measuring.seconds))
            results.add(*client.in_process(measuring, authority, secrets))
            results.add(client.full_cache(measuring))
            count = self.revocations
            results.add(revoking.revoking(where, [authority], count, scratch, revoking.ON_SQLITE))
            results.add(*crediting.crediting(where, authority, count // 3, scratch))
            results.add(cutting.frozen(where, authority, self.changes, scratch))
            results.add(cutting.cut_off(where, authority, self.changes, scratch))
            results.add(revoking.growth(where, [authority], count // 3, scratch))
            self._add_many_verifiers(where, [authority])
        what = f"changes by {together.CALLERS} callers, {where}"
        results.add_or_miss(what, together.on_sqlite(self.together, scratch))
        what = "a gateway whose lease returns"
        results.add_or_miss(what, returning.returning(scratch))

    def _add_many_verifiers(self, where: str, replicas: Sequence[Authority]) -> None:
        self.results.add_or_miss(
            f"{many_verifiers.MANY:,} connected verifiers, {where}",
            many_verifiers.many_verifiers(
                where, replicas, MANY_REVOKED, 2 * self.measuring.seconds, self.scratch
            ),
        )

    def _on_postgres(self, url: str) -> None:
        results, scratch, where = self.results, self.scratch, f"PostgreSQL, {REPLICAS} replicas"
        count = self.revocations
        with replicas.running_replicas(url, REPLICAS, scratch) as running:
            results.add(revoking.revoking(where, running, count, scratch, revoking.ON_POSTGRES))
            what = f"changes by {together.CALLERS} callers, {where}"
            results.add_or_miss(what, together.on_postgres(where, running, self.together, scratch))
            self._add_many_verifiers(where, running)
            results.add(settling.settling(where, running[0], self.measuring.seconds))
            results.add(cutting.frozen(where, running[0], self.changes, scratch))
            results.add(cutting.cut_off(where, running[0], self.changes, scratch))
            results.add(revoking.growth(where, running, count // 3, scratch))
        results.add(replicas.growth(url, self.measuring.seconds, count // 3, scratch))


if __name__ == "__main__":
    main()
