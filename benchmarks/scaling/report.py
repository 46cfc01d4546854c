"""What the simulation says, as the tables of `docs/scaling.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.scaling import costs as all_costs
from benchmarks.scaling import edge_report, measured, page, regions
from benchmarks.scaling.changes import Changes, changes
from benchmarks.scaling.costs import Costs
from benchmarks.scaling.fan_out import FanOut, fan_out

SIZES: Final = ((10, 0), (100, 0), (1_000, 0), (3_000, 0), (1_000, 3), (3_000, 3), (10_000, 10))
REPLICAS: Final = 3
STANDBY: Final = {
    "as measured": 0.0,
    "5 ms more (a slow disk)": 0.005,
    "80 ms more (a synchronous standby in the second region)": 0.08,
}


def cost_table() -> str:
    """Returns the costs, and where each is from."""
    return page.markdown(("what", "cost", "from"), all_costs.table())


def compared_table(costs: Costs) -> str:
    """Returns the simulation of `make bench` beside its results."""
    rows = []
    for where, replicas in (("SQLite", 0), (f"PostgreSQL, {REPLICAS} replicas", REPLICAS)):
        for verifiers, was in measured.revocations(where).items():
            one = fan_out(verifiers, replicas, costs, one_machine=True)
            is_ = one.revocation + _before(one, costs, trip=0.0)
            rows.append((where, f"{verifiers:,}", f"{was:.1f} ms", page.milliseconds(is_)))
    return page.markdown(("books", "verifiers", "measured, p50", "simulated"), rows)


def fan_out_rows(costs: Costs) -> Sequence[FanOut]:
    """Returns what more and more verifiers cost."""
    return [fan_out(verifiers, replicas, costs) for verifiers, replicas in SIZES]


def fan_out_table(costs: Costs, results: Sequence[FanOut]) -> str:
    """Returns the table of *results*."""
    rows = []
    for one in results:
        before = _before(one, costs, trip=costs.seconds("trip_zone"))
        rows.append((
            f"{one.verifiers:,}",
            f"PostgreSQL, {one.replicas}" if one.replicas else "SQLite, 1",
            page.milliseconds(before + one.revocation) + (", leases waited out" if one.waited_out else ""),
            f"{page.figure(100 * one.replica_cpu)} %",
            f"{one.database_cpu:.2g} cores" if one.replicas else "-",
            f"{one.leased:.0%}",
        ))  # fmt: skip
    headings = (
        "verifiers",
        "processes",
        "a revocation",
        "idle polls, of a process's core",
        "of PostgreSQL",
        "verifiers with a lease",
    )
    return page.markdown(headings, rows)


def change_rows(costs: Costs) -> Sequence[tuple[str, Changes]]:
    """Returns changes one by one and in batches, by what a commit takes."""
    return [
        (name, changes(callers, REPLICAS, costs, batched=batched, longer=longer))
        for name, longer in STANDBY.items()
        for callers in (32, 256)
        for batched in (False, True)
    ]


def change_table(results: Sequence[tuple[str, Changes]]) -> str:
    """Returns the table of *results*."""
    rows = [
        (
            name,
            str(one.callers),
            "in batches" if one.batched else "one by one",
            f"{one.rate:,.0f}",
            page.milliseconds(one.p50),
            page.milliseconds(one.p99),
            f"{one.batch:.1f}",
        )
        for name, one in results
    ]
    headings = ("a commit takes", "callers", "changes go", "changes/s", "p50", "p99", "in a commit")
    return page.markdown(headings, rows)


def region_table(costs: Costs) -> str:
    """Returns what three regions cost."""
    rows = []
    for name, placed in (
        ("all beside the database", regions.at_home(costs)),
        ("one in each region", regions.everywhere(costs)),
    ):
        rows.append(
            (
                name,
                *map(page.milliseconds, placed.revocations),
                page.milliseconds(placed.known),
                page.milliseconds(placed.unknown),
            )
        )
    headings = (
        "replicas are",
        "a revocation from home",
        "from the second region",
        "from the third",
        "a miss in the third, known to its replica",
        "not known",
    )
    return page.markdown(headings, rows)


def everything(costs: Costs) -> Iterator[tuple[str, str]]:
    """Yields the name and the content of each table, one after the other."""
    yield "costs", cost_table()
    yield "compared", compared_table(costs)
    yield "fan-out", fan_out_table(costs, fan_out_rows(costs))
    yield "changes", change_table(change_rows(costs))
    yield "regions", region_table(costs)
    yield from edge_report.tables(costs)


def _before(result: FanOut, costs: Costs, trip: float) -> float:
    return costs.transaction(trip) if result.replicas else costs.seconds("change_sqlite")
