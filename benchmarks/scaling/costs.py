"""The costs that the simulation reckons with, all in one place; each says where it was measured.

Refresh: `make bench`, `python -m benchmarks.scaling.measuring`, write the values here, `make scaling`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final

MEASURING: Final = "`python -m benchmarks.scaling.measuring`"
ASSUMED: Final = "assumed"


def _row(value: float, unit: str, what: str, row: str) -> Any:
    # `row` is the name of a row of benchmarks/results.md.
    return field(
        default=value, metadata={"unit": unit, "what": what, "source": f"row {row}", "row": row}
    )


def _measured(value: float, unit: str, what: str) -> Any:
    return field(default=value, metadata={"unit": unit, "what": what, "source": MEASURING})


def _reckoned(value: float, unit: str, what: str, how: str) -> Any:
    return field(default=value, metadata={"unit": unit, "what": what, "source": f"reckoned: {how}"})


def _assumed(value: float, unit: str, what: str, why: str = "") -> Any:
    source = f"{ASSUMED}: {why}" if why else ASSUMED
    return field(default=value, metadata={"unit": unit, "what": what, "source": source})


@dataclass(frozen=True, slots=True)
class Costs:
    """Milliseconds, bytes or counts, as the unit says. CPU is that of one core of the machine measured."""

    # --- verdicts
    verify_cached: float = _row(
        0.234,
        "ms",
        "CPU of an authority for a `Verify` from its memory",
        "`Verify` over gRPC, key in memory",
    )
    verify_read: float = _row(
        0.710,
        "ms",
        "CPU of an authority for a `Verify` from SQLite",
        "`Verify` over gRPC, key not in memory, 1,000,000 keys stored",
    )
    batch_cached: float = _row(
        0.0049,
        "ms",
        "CPU of an authority for a verdict of a `BatchVerify`, from its memory",
        "`BatchVerify`, verdicts, 100 a call",
    )
    batch_read: float = _measured(
        0.018,
        "ms",
        "the same from PostgreSQL: CPU of the authority, each further key of one statement",
    )
    verdict_bytes: float = _row(
        794, "bytes", "a cached verdict", "resident memory per cached verdict (2 scopes, no labels)"
    )
    # --- the edge
    forward: float = _row(
        0.166, "ms", "CPU of a gateway for a forwarded request", "gateway forwarding"
    )
    forward_billed: float = _row(
        0.448, "ms", "the same, held for and charged", "gateway forwarding, billing on"
    )
    authorize: float = _row(
        0.0326, "ms", "CPU of a gateway for `/authz`", "gateway `/authz` from its cache"
    )
    # --- leases
    sync_sqlite: float = _reckoned(
        0.28,
        "ms",
        "CPU of an authority for a `Sync`, SQLite",
        "1,000 idle verifiers took 37 % of a core (issue 12), at 1,333 polls a second",
    )
    sync_postgres: float = _reckoned(
        0.42, "ms", "CPU of a replica for a `Sync`, PostgreSQL", "likewise, 56 % of a core"
    )
    sync_verifier: float = _reckoned(
        0.5,
        "ms",
        "CPU of a verifier for a `Sync`",
        "fitted to what was measured with 10 and 50 verifiers on one machine",
    )
    renew_database: float = _measured(0.80, "ms", "CPU of PostgreSQL for a `Sync`")
    renew_database_each: float = _measured(0.16, "ms", "the same, each further one of a batch")
    look_each: float = _measured(
        0.0008, "ms", "CPU of a replica for each session that a fence looks at"
    )
    # --- changes
    change_before: float = _measured(
        1.70, "ms", "a revocation on PostgreSQL, until it locks the counter's row"
    )
    change_before_each: float = _measured(0.75, "ms", "the same, each further change of a batch")
    change_held: float = _measured(
        2.90, "ms", "the counter's row is locked for one change, commit included"
    )
    change_held_each: float = _measured(0.036, "ms", "the same, each further change of a batch")
    change_sqlite: float = _row(
        4.5,
        "ms",
        "a change on SQLite alone, without verifiers: 5.6 to 7.3 ms less one `Sync`",
        "`RevokeKey`, SQLite, 10 connected verifiers",
    )
    statements_before: float = _measured(
        5, "", "round trips to PostgreSQL before the counter's row is locked"
    )
    statements_held: float = _measured(5, "", "round trips while it is locked, commit included")
    # --- credits
    settle_charge: float = _row(
        0.094,
        "ms",
        "a charge settled, 500 a call (PostgreSQL, one process, both on 2 cores)",
        "charges settled, PostgreSQL, 3 replicas, 500 a call, 4 calls at a time",
    )
    account_held: float = _measured(
        3.0, "ms", "an account's row is locked for a call without charges, commit included"
    )
    account_held_each: float = _measured(0.042, "ms", "the same, each charge")
    settle_calls: float = _row(
        2.46,
        "",
        "calls to the authority per 1,000 requests of a busy workspace",
        "calls to the authority per 1,000 requests of one busy workspace",
    )
    # --- sizes on PostgreSQL
    key_bytes: float = _measured(290, "bytes", "a key with its secret, rows")
    key_index_bytes: float = _measured(460, "bytes", "a key with its secret, indexes")
    key_primary_bytes: float = _measured(53, "bytes", "the index that finds a key by its id")
    entry_bytes: float = _measured(507, "bytes", "an entry of a ledger, row and indexes")
    # --- what is not measured here
    trip_zone: float = _assumed(0.5, "ms", "round trip between machines of one region")
    trip_near: float = _assumed(80, "ms", "round trip from the home region to the second")
    trip_far: float = _assumed(150, "ms", "round trip from the home region to the third")
    database_cores: float = _assumed(16, "", "cores of PostgreSQL's machine")
    memory: float = _assumed(128e9, "bytes", "memory of PostgreSQL's machine")

    def seconds(self, name: str) -> float:
        """Returns a cost of time in seconds."""
        value: float = getattr(self, name)
        return value / 1e3

    def transaction(self, trip: float = 0.0) -> float:
        """Returns the seconds until the commit of a change on PostgreSQL returns, *trip* away."""
        statements = self.statements_before + self.statements_held
        return self.seconds("change_before") + self.seconds("change_held") + statements * trip


def table() -> list[tuple[str, str, str]]:
    """Returns a row for each cost: what, how much, and where it is from."""
    costs = Costs()
    return [
        (
            one.metadata["what"],
            _amount(getattr(costs, one.name), one.metadata["unit"]),
            one.metadata["source"],
        )
        for one in fields(costs)
    ]


def rows() -> set[str]:
    """Returns the names of the rows of benchmarks/results.md that costs are from."""
    return {one.metadata["row"] for one in fields(Costs) if "row" in one.metadata}


def _amount(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{number} {unit}".strip()
