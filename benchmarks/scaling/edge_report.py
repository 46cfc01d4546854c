"""What the simulation says of requests, credits and keys, as the tables of `docs/scaling.md`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.scaling import edges, page
from benchmarks.scaling.cold_start import ColdStart, cold_start
from benchmarks.scaling.costs import Costs
from benchmarks.scaling.credits import Spent, spending

REPLICAS: Final = 3
KEYS_IN_USE: Final = (10_000, 100_000, 1_000_000)
WORKSPACE: Final = ((50, 1_000), (50, 5_000), (300, 5_000), (300, 20_000))
STORMS: Final = ((1, 5_000), (10, 2_000), (20, 1_000))
STORED: Final = (1_000_000, 10_000_000, 100_000_000)
PAGE_BYTES: Final = 8192


def tables(costs: Costs) -> Iterator[tuple[str, str]]:
    """Yields the name and the content of each table, one after the other."""
    yield "edges", edge_table(costs)
    yield "misses", miss_table(costs)
    yield "ledger", ledger_table(costs)
    yield "credits", credit_table([spending(*one, costs) for one in WORKSPACE])
    yield "stored", stored_table(costs)
    storms = [
        cold_start(*one, REPLICAS, costs, batched=batched)
        for one in STORMS
        for batched in (False, True)
    ]
    yield "cold-start", storm_table(storms)


def edge_table(costs: Costs) -> str:
    """Returns how many gateways a million requests a second take."""
    rows = [
        (
            what,
            f"{edges.gateways(costs.seconds(name)):,.0f}",
            f"{edges.REQUESTS / edges.gateways(costs.seconds(name)):,.0f}",
        )
        for what, name in (
            ("`/authz`", "authorize"),
            ("forwarded", "forward"),
            ("forwarded and charged", "forward_billed"),
        )
    ]
    return page.markdown(("requests are", "gateway processes", "requests/s each"), rows)


def miss_table(costs: Costs) -> str:
    """Returns the misses of a million requests a second, by how they are spread."""
    processes = edges.gateways(costs.seconds("forward"))
    rows = []
    for keys in KEYS_IN_USE:
        for by_key in (False, True):
            one = edges.misses(keys, processes, by_key=by_key)
            cores = (
                one.rate * costs.seconds("verify_cached"),
                one.rate * costs.seconds("batch_cached"),
            )
            rows.append(
                (
                    f"{keys:,}",
                    "the gateway of the key" if by_key else "any gateway",
                    f"{one.share:.2%}",
                    f"{one.rate:,.0f}",
                    *(page.figure(number) for number in cores),
                )
            )
    headings = (
        "keys in use",
        "a request goes to",
        "misses",
        "misses/s",
        "cores of replicas, `Verify`",
        "`BatchVerify`",
    )
    return page.markdown(headings, rows)


def ledger_table(costs: Costs) -> str:
    """Returns what a million charged requests a second are to the ledgers."""
    settled = 1 / costs.seconds("settle_charge")
    day = edges.entries_a_day(edges.REQUESTS, costs)
    rows = [
        ("charges", f"{settled:,.0f}/s", f"{edges.REQUESTS / settled:,.0f} of these"),
        (
            "entries",
            page.size(edges.entries_a_day(settled, costs)) + " a day",
            page.size(day) + " a day",
        ),
        ("calls", "-", f"{edges.REQUESTS / 1e3 * costs.settle_calls:,.0f}/s at least"),
    ]
    headings = ("", "measured: one process, its database on the same two cores", "a million/s")
    return page.markdown(headings, rows)


def credit_table(results: Sequence[Spent]) -> str:
    """Returns the table of one busy workspace."""
    rows = [
        (
            f"{one.offered:,.0f}",
            str(one.verifiers),
            f"{one.rate:,.0f}",
            page.milliseconds(one.p99),
            f"{one.held:.0%}",
        )
        for one in results
    ]
    headings = (
        "charges/s of one workspace",
        "verifiers",
        "settled/s",
        "a call, p99",
        "its account's row is locked",
    )
    return page.markdown(headings, rows)


def stored_table(costs: Costs) -> str:
    """Returns the size of so many keys."""
    rows = []
    for keys in STORED:
        tables, indexes = keys * costs.key_bytes, keys * costs.key_index_bytes
        share = (tables + indexes) / costs.memory
        rows.append(
            (
                f"{keys:,}",
                page.size(tables),
                page.size(indexes),
                str(depth(keys, costs)),
                f"{share:.0%}",
                page.size(keys * costs.verdict_bytes),
            )
        )
    headings = (
        "keys",
        "rows",
        "indexes",
        "pages to a key by its id",
        "of the database's memory",
        "verdicts on all of them in one cache",
    )
    return page.markdown(headings, rows)


def depth(keys: int, costs: Costs) -> int:
    """Returns how many pages of the index are read to find one of so many keys."""
    in_a_page = PAGE_BYTES / costs.key_primary_bytes
    return math.ceil(math.log(keys, in_a_page))


def storm_table(results: Sequence[ColdStart]) -> str:
    """Returns the table of gateways that start at once."""
    rows = [
        (
            str(one.gateways),
            f"{one.keys:,}",
            "in batches" if one.batched else "one by one",
            page.milliseconds(one.seconds),
            f"{one.calls:,}",
        )
        for one in results
    ]
    headings = (
        "gateways",
        "keys in use at each",
        "verdicts are asked for",
        "99 % are in memory after",
        "calls",
    )
    return page.markdown(headings, rows)
