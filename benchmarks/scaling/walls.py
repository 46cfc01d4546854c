"""The first wall of each question: what ends first, at how much, and what moves it."""

from __future__ import annotations

from benchmarks.scaling import edges, page
from benchmarks.scaling.changes import changes
from benchmarks.scaling.costs import Costs
from benchmarks.scaling.world import WAIT
from keyauthority.domain.books import TOGETHER
from keyauthority.domain.sessions import SESSIONS_PER_CALLER

REPLICAS = 3
CALLERS = 256


def table(costs: Costs) -> str:
    """Returns the walls, as Markdown."""
    headings = ("what grows", "what ends first", "at", "what moves it")
    return page.markdown(headings, [*_coherence(costs), *_edges(costs)])


def most_verifiers(costs: Costs, *, sqlite: bool) -> float:
    """Returns how many idle verifiers fill the core of one process."""
    return WAIT / costs.seconds("sync_sqlite" if sqlite else "sync_postgres")


def most_sessions(costs: Costs, *, together: bool) -> float:
    """Returns how many idle verifiers fill the database's cores, if their polls are renewed *together*."""
    renew = costs.seconds("renew_database_each" if together else "renew_database")
    return costs.database_cores * WAIT / renew


def _coherence(costs: Costs) -> list[tuple[str, str, str, str]]:
    far = 1 / (costs.seconds("change_held") + costs.statements_held * costs.seconds("trip_far"))
    standby = costs.seconds("trip_near")
    alone, batched = (
        [
            changes(CALLERS, REPLICAS, costs, batched=batched, longer=longer).rate
            for longer in (0.0, standby)
        ]
        for batched in (False, True)
    )
    return [
        (
            "verifiers, SQLite",
            "the fan-out: idle polls fill the core of the one process",
            f"{most_verifiers(costs, sqlite=True):,.0f} verifiers",
            "PostgreSQL with replicas",
        ),
        (
            "verifiers, PostgreSQL",
            "the fan-out: idle polls fill the core of a replica",
            f"{most_verifiers(costs, sqlite=False):,.0f} verifiers a replica",
            "replicas, until the next line",
        ),
        (
            "verifiers, with replicas enough",
            "the fan-out: each poll is a write of its session in the one database",
            f"{most_sessions(costs, together=False):,.0f} verifiers with {costs.database_cores:.0f} cores if each goes alone, {most_sessions(costs, together=True):,.0f} together",
            "polls renewed together, the busier the more; a replica that answers in the books for its verifiers",
        ),
        (
            "changes/s",
            "the counter's row: locked from the revision to the end of the commit",
            f"{alone[0]:,.0f}/s one by one, {batched[0]:,.0f}/s in batches of up to {TOGETHER}",
            "batches of what waits, as shipped",
        ),
        (
            "changes/s, with a synchronous standby in the second region",
            "the round trip, while the counter's row is locked",
            f"{alone[1]:,.0f}/s one by one, {batched[1]:,.0f}/s in batches",
            "a standby in another zone; batches",
        ),
        (
            "regions, with a replica in each",
            "the round trip: each statement under the counter's lock makes one",
            f"{far:.1f} changes/s from the third region, and everybody waits meanwhile",
            "replicas beside the database only",
        ),
    ]


def _edges(costs: Costs) -> list[tuple[str, str, str, str]]:
    processes = edges.gateways(costs.seconds("forward_billed"))
    anywhere = edges.misses(100_000, processes, by_key=False).rate
    by_key = edges.misses(100_000, processes, by_key=True).rate
    settled = 1 / costs.seconds("settle_charge")
    stored = edges.entries_a_day(edges.REQUESTS, costs) / 1e12
    return [
        (
            "requests/s: sessions",
            "the bound of sessions of one caller",
            f"{processes:,.0f} gateways for a million charged requests/s, of {SESSIONS_PER_CALLER:,}",
            "a caller for each fleet of gateways",
        ),
        (
            "requests/s: misses, 100,000 keys in use",
            "every gateway asks about every key once a minute",
            f"{anywhere:,.0f} misses/s, {anywhere * costs.seconds('verify_cached'):,.0f} cores",
            f"sending a key to its own gateway: {by_key:,.0f} misses/s; `BatchVerify`",
        ),
        (
            "requests/s: charges",
            "the ledger: an entry for each charge",
            f"{settled:,.0f} charges/s measured, of 1,000,000; {stored:,.0f} TB a day",
            "one ledger per group of workspaces; fewer entries per charge",
        ),
        (
            "charges/s of one workspace",
            "its account's row, locked for each batch of calls",
            f"{_most_charges(costs):,.0f} charges/s",
            "larger batches; several accounts of one workspace",
        ),
        (
            "keys stored",
            "rows and indexes leave the database's memory",
            f"{costs.memory / (costs.key_bytes + costs.key_index_bytes) / 1e6:,.0f} M keys in {costs.memory / 1e9:,.0f} GB",
            "memory; nothing else depends on their number",
        ),
    ]


def _most_charges(costs: Costs) -> float:
    # A batch has a hundred charges, closings and slices.
    return 100 / (costs.seconds("account_held") + 100 * costs.seconds("account_held_each"))
