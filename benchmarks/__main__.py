"""`make bench`: measures, prints, and writes `benchmarks/results.md`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from benchmarks import report, scenarios
from benchmarks.authority import authority
from benchmarks.comparing import Comparison, Measuring
from benchmarks.machine import load_average, machine, versions
from benchmarks.processes import BenchmarkError
from benchmarks.revoking import Latencies, revocations

RESULTS: Final = Path(__file__).parent / "results.md"
MANY: Final = 200_000
MANY_IN_FULL: Final = 1_000_000


@click.command(context_settings={"show_default": True})
@click.option("--seconds", default=2.0, help="Length of each run.")
@click.option("--pairs", default=5, type=click.IntRange(1), help="Runs of each side.")
@click.option("--keys", default=MANY, help="Keys stored in the comparison of many with few.")
@click.option("--full", is_flag=True, help=f"The same as --keys {MANY_IN_FULL}.")
@click.option("--revocations", "revoked", default=300, type=click.IntRange(2))
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS)
def main(seconds: float, pairs: int, keys: int, full: bool, revoked: int, output: Path) -> None:
    """Compare the authority and the gateway with the bare frameworks they are built on."""
    measuring = Measuring(pairs, seconds)
    before = {**machine(), "load before": load_average()}
    try:
        comparisons, latencies = measure(measuring, MANY_IN_FULL if full else keys, revoked)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from None
    arguments = f' ARGS="{" ".join(sys.argv[1:])}"' if sys.argv[1:] else ""
    page = report.page(
        comparisons,
        latencies,
        command=f"make bench{arguments}",
        seconds=seconds,
        machine={**before, "load after": load_average()},
        versions=versions(),
    )
    output.write_text(page)
    click.echo(f"written to {output}")


def measure(measuring: Measuring, many: int, revoked: int) -> tuple[list[Comparison], Latencies]:
    """Measures everything, and prints each number when it is there; raises `BenchmarkError`."""
    comparisons = []
    with tempfile.TemporaryDirectory(prefix="keyauthority-bench-") as folder:
        scratch = Path(folder)
        with authority(scratch / "data", scratch) as asked:
            workspace_id = asked.create_workspace()
            secrets = [secret for _, secret in asked.issue(scenarios.BATCH, workspace_id)]
            scenes = scenarios.Scenes(measuring, asked, scratch / "data", scratch, secrets)
            for comparison in scenes.comparisons():
                click.echo(report.line(comparison))
                comparisons.append(comparison)
            latencies = revocations(asked, workspace_id, revoked)
            click.echo(report.latency_line(latencies))
        comparisons.append(scenarios.many_keys(measuring, many, scratch))
        click.echo(report.line(comparisons[-1]))
    return comparisons, latencies


if __name__ == "__main__":
    main()
