"""`make bench`: measures, prints, and writes `benchmarks/results.md`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click

from benchmarks import report
from benchmarks.comparing import Measuring
from benchmarks.machine import load_average, machine, versions
from benchmarks.processes import BenchmarkError
from benchmarks.results import Results
from benchmarks.run import Sizes, run

RESULTS: Final = Path(__file__).parent / "results.md"


@click.command(context_settings={"show_default": True})
@click.option("--seconds", default=2.0, help="Length of each run.")
@click.option("--pairs", default=5, type=click.IntRange(1), help="Runs of each side.")
@click.option("--keys", default=1_000_000, type=click.IntRange(1_001), help="Keys stored, at most.")
@click.option("--revocations", default=300, type=click.IntRange(6), help="Keys revoked in a row.")
@click.option("--changes", default=5, type=click.IntRange(1), help="With a verifier cut off.")
@click.option("--verdicts", default=50_000, type=click.IntRange(1), help="Cached, for their size.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS)
def main(
    seconds: float,
    pairs: int,
    keys: int,
    revocations: int,
    changes: int,
    verdicts: int,
    output: Path,
) -> None:
    """Measures the authority, its client and the gateway, against what they are built on."""
    measuring, sizes = Measuring(pairs, seconds), Sizes(keys, revocations, changes, verdicts)
    results = Results(lambda result: click.echo(report.line(result)))
    before, start = {**machine(), "load before": load_average()}, time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="keyauthority-bench-") as scratch:
            run(measuring, sizes, results, Path(scratch))
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from None
    minutes = (time.monotonic() - start) / 60
    arguments = f' ARGS="{" ".join(sys.argv[1:])}"' if sys.argv[1:] else ""
    page = report.page(
        results,
        command=f"make bench{arguments}",
        measuring=measuring,
        minutes=minutes,
        machine={**before, "load after": load_average()},
        versions={**versions(), **results.versions},
    )
    output.write_text(page)
    click.echo(f"written to {output} after {minutes:.1f} min")


if __name__ == "__main__":
    main()
