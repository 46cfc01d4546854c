"""`make edges`: what a request costs at each edge of docs/edges.md, in one interleaved run.

Each proxy runs with its shipped file in front of the same upstream. The cost is the CPU time of the
proxy and of whoever it asks; the upstream and the load are the same for all, and not counted.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from benchmarks.authority import Authority, running_authority
from benchmarks.edges import gateway
from benchmarks.loads import Generator, http_load
from benchmarks.machine import load_average, machine
from benchmarks.processes import BenchmarkError, Process, serving
from tests.edges.proxies import PROXIES, program_of, started

_PATH: Final = "/v1/chat/completions"
_QUESTION: Final = '{"model":"bench","messages":[{"role":"user","content":"Say something."}]}'
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_WARM_UP: Final = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a load: requests a second, and CPU microseconds a request."""

    rate: float
    proxy: float
    asked: float


@dataclass(frozen=True, slots=True)
class Row:
    """An edge under its load: the proxy's first process (None: no proxy), and who is asked."""

    name: str
    proxy: int | None
    asked: Process
    load: Generator
    runs: list[Run] = field(default_factory=list)

    def run(self, seconds: float) -> Run:
        """Runs the load; raises `BenchmarkError` if not all answers were good."""
        before = self._cpu()
        load = self.load.run(seconds)
        if not load.calls:
            raise BenchmarkError(f"{self.name} answers nothing")
        proxy, asked = (
            (now - then) / load.calls * 1e6 for now, then in zip(self._cpu(), before, strict=True)
        )
        return Run(load.calls / load.seconds, proxy, asked)

    def line(self) -> str:
        """Returns the row of the table: the medians of its runs."""
        rate, proxy, asked = (
            statistics.median(getattr(run, name) for run in self.runs)
            for name in ("rate", "proxy", "asked")
        )
        proxys = f"{proxy:.0f}" if self.proxy else "-"
        return f"| {self.name} | {proxys} | {asked:.0f} | **{proxy + asked:.0f}** | {rate:,.0f} |"

    def _cpu(self) -> tuple[float, float]:
        return tree_cpu(self.proxy) if self.proxy else 0.0, self.asked.cpu_seconds()


def tree_cpu(pid: int) -> float:
    """Returns the CPU seconds taken so far by a process and the children that it has now."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything.
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if pid in (int(path.parent.name), int(fields[1])):
            total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def rows(stack: ExitStack, folder: Path) -> Iterator[Row]:
    """Starts everything; yields a row for each edge whose program is here."""
    authority: Authority = stack.enter_context(running_authority(folder / "data", folder))
    [(_, secret)] = authority.issue(1, authority.create_workspace())
    upstream = stack.enter_context(serving("upstream", logs=folder))
    ours = stack.enter_context(gateway(authority, upstream, folder, access_log="off"))
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}

    def load(port: int) -> Generator:
        return http_load(f"http://127.0.0.1:{port}{_PATH}", headers, _QUESTION)

    yield Row("the gateway, forwarding", None, ours, load(ours.port))
    for proxy in PROXIES:
        program = program_of(proxy)
        if program is None:
            click.echo(f"{proxy.name} is not measured: {proxy.brought_by}", err=True)
            continue
        place = folder / proxy.name
        place.mkdir()
        token, ports = authority.token.reveal(), (ours.port, upstream.port, authority.process.port)
        names = dict(zip(("gateway", "api", "authority"), ports, strict=True))
        edge = stack.enter_context(started(proxy, program, place, token, **names))
        asked = authority.process if proxy.asks_authority else ours
        yield Row(proxy.name, edge.pid, asked, load(edge.port))


def measure(edges: Sequence[Row], rounds: int, seconds: float) -> None:
    """Runs each of *edges* in turn, so many times, after a warm-up."""
    for row in edges:
        # The first answers may come before there is a verdict in memory.
        with suppress(BenchmarkError):
            row.run(_WARM_UP)
    for _ in range(rounds):
        for row in edges:
            row.runs.append(row.run(seconds))


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=5, type=click.IntRange(1), help="Runs of each edge.")
@click.option("--seconds", default=2.0, help="Length of each run.")
def main(rounds: int, seconds: float) -> None:
    """Measures every edge whose program is here, and prints the table of docs/edges.md."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="keyauthority-edges-"))
        try:
            edges = list(rows(stack, Path(folder)))
            measure(edges, rounds, seconds)
        except BenchmarkError as error:
            raise click.ClickException(str(error)) from None
    where = {**machine(), "load": load_average()}
    click.echo(", ".join(f"{name} {value}" for name, value in where.items()))
    click.echo("\n| edge | proxy, µs | asked, µs | together, µs | requests a second |")
    click.echo("|---|---|---|---|---|")
    for row in edges:
        click.echo(row.line())


if __name__ == "__main__":
    main()
