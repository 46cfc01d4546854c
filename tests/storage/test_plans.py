"""How databases find what verdicts need: by their indexes, never by looking through a table."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, Select, create_engine, text
from sqlalchemy.dialects import sqlite

from keyauthority.base.relational.sqlite import connect
from keyauthority.domain.ledger import EntryFilter, Kind
from keyauthority.domain.usage import DAY, Group, Span
from keyauthority.storage.postgres import open_postgres
from keyauthority.storage.postgres.database import PostgresDatabase
from keyauthority.storage.postgres.direct import PostgresDirect
from keyauthority.storage.sql import leases, snapshots
from keyauthority.storage.sql.direct import Query
from keyauthority.storage.sql.keys import SqlKeys
from keyauthority.storage.sql.ledger import SqlLedger
from keyauthority.storage.sql.slices import SqlSlices
from keyauthority.storage.sql.usage import UsageReader
from keyauthority.storage.sqlite import migrate_sqlite
from keyauthority.storage.sqlite.direct import SqliteDirect, direct_of
from keyauthority.storage.sqlite.examining import KIND
from keyauthority.storage.sqlite.statements import SqliteStatements
from tests.conformance.records import START, a_caller, a_key, a_workspace
from tests.postgres import new_database, run_sql
from tests.transactions import changing

# One row each.
SMALL = {"SCAN head", "SCAN terms"}
SNAPSHOTS = [
    snapshots.SNAPSHOT,
    snapshots.SNAPSHOT_WITH_IMPORTS,
    *snapshots.PRESENTED.values(),
]


@pytest.mark.parametrize("count", [1, 100, 1_000])
@pytest.mark.parametrize("query", SNAPSHOTS)
def test_a_snapshot_searches(path: Path, query: Select[Any], count: int) -> None:
    """However many keys there are, reading some costs the same."""
    migrate_sqlite(path)
    statement, parameters = SqliteDirect(query).bound(
        {"ids": ["id"] * count, "digests": [b"x"] * count, "secrets": [b"x"] * count}
    )
    with closing(connect(path, KIND.pragmas)) as connection:
        plan = _plan(connection, statement, parameters)

    scans = {step.removesuffix(" LEFT-JOIN") for step in plan if step.startswith("SCAN")}
    assert scans <= SMALL | {"SCAN owners"}
    assert not [step for step in plan if "AUTOMATIC" in step]
    assert [step for step in plan if step.startswith("SEARCH secrets USING INDEX")]


def _plan(connection: sqlite3.Connection, statement: str, parameters: Any) -> list[str]:
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


class Noted:
    """Statements that are noted, and find nothing."""

    numbers = SqliteStatements.numbers

    def __init__(self) -> None:
        self.queries: list[Select[Any]] = []

    async def rows(self, query: Select[Any]) -> list[Any]:
        self.queries.append(query)
        return []


async def test_usage_is_searched_for(path: Path) -> None:
    """The charges of a time by their index, and the few refunds by one that has no others."""
    migrate_sqlite(path)
    statements: Any = Noted()
    reader = UsageReader(statements, "ws_1", Span(START, START, DAY), frozenset(Group))
    await reader.charges()
    await reader.refunds()
    with closing(connect(path, KIND.pragmas)) as connection:
        plans = []
        for query in statements.queries:
            compiled = query.compile(dialect=sqlite.dialect(paramstyle="named"))
            plans.append(_plan(connection, str(compiled), dict.fromkeys(compiled.params, 1)))

    charges, refunds = (step[0] for step in plans)
    place = "(workspace_id=? AND time>? AND time<?)"
    index = "credit_entries_workspace_id_time_idx"
    assert charges == f"SEARCH credit_entries USING INDEX {index} {place}"
    assert refunds == f"SEARCH refunds USING INDEX credit_entries_refunds {place}"


@pytest.mark.parametrize("query", [*SNAPSHOTS, snapshots.CALLER, leases.GRANT])
async def test_postgres_searches_too(query: Select[Any]) -> None:
    """By a plan that is made once, of tables that it takes for small, and that suits large ones."""
    statement, parameters = PostgresDirect(query).bound(
        {
            "ids": ["id"],
            "digests": [b"x"],
            "secrets": [b"x"],
            "caller_id": "caller",
            "revision": 1,
        }
    )
    url = await new_database()
    async with open_postgres(url) as store:
        async with changing(store) as tx:
            await tx.workspaces.insert(a_workspace())
            await tx.keys.insert_imported([a_key()])
            await tx.callers.insert(a_caller("caller"))
            await tx.feed.advance(["key_1"])
        await run_sql(url, "ANALYZE")
        database = store._database
        assert isinstance(database, PostgresDatabase)
        async with database._reads.link() as link:
            plan = [row[0] for row in await link.rows(f"EXPLAIN {statement}", *parameters)]

    scans = {step.split(" on ")[1].split()[0] for step in plan if "Seq Scan on" in step}
    assert scans <= {"head", "terms"}


class Explained(SqliteStatements):
    """Notes how each select would find its rows."""

    plans: list[str]

    async def _execute(self, statement: Any) -> Any:
        if isinstance(statement, Select):
            result = await super()._execute(_explained(statement))
            self.plans += [row[3] for row in result.rows]
        return await super()._execute(statement)

    async def _read(self, query: Query, values: Any) -> Any:
        statement, parameters = direct_of(query).bound(values)
        result = self._connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        self.plans += [row[3] for row in result]
        return await super()._read(query, values)


@asynccontextmanager
async def explained(path: Path, *, locking: bool) -> AsyncIterator[Explained]:
    """Statements on the database at *path*."""
    with closing(connect(path, {})) as connection:
        engine = create_engine(
            "sqlite://",
            creator=lambda: connection,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        with engine.connect() as sql:
            statements = Explained(connection, sql, START)
            statements.locking = locking
            statements.plans = []
            yield statements


def _explained(statement: Select[Any]) -> Any:
    literal = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    return text(f"EXPLAIN QUERY PLAN {literal}".replace(":", "\\:"))


async def test_what_a_call_of_verifiers_reads_is_searched(path: Path) -> None:
    """However many entries and slices there are."""
    migrate_sqlite(path)
    async with explained(path, locking=True) as statements:
        slices, ledger = SqlSlices(statements), SqlLedger(statements)
        await slices.of_sessions({("ws_1", "s"), ("ws_2", "t")})
        await slices.shared(["ws_1", "ws_2"], "s")
        await slices.sessions("s", 9)
        await slices.due(START, "", 9)
        await slices.due_of("ws_1", START, 9)
        await ledger.accounts(["ws_1", "ws_2"])
        await ledger.grants(["ws_1", "ws_2"])
        await ledger.by_reference([("ws_1", "a"), ("ws_2", "b")])
        await SqlKeys(statements).homes(["key_1", "key_2"])

    assert not [step for step in statements.plans if step.startswith("SCAN credit")]
    assert not [step for step in statements.plans if step.startswith("SCAN keys")]
    assert len([step for step in statements.plans if step.startswith("SEARCH")]) >= 9


@pytest.mark.parametrize(
    ("fields", "index"),
    [
        ({}, "sqlite_autoindex_credit_entries_1"),
        ({"kind": Kind.CHARGE}, "sqlite_autoindex_credit_entries_1"),
        ({"kind": Kind.GRANT}, "credit_entries_no_charges"),
        ({"key_id": "k", "model": "m"}, "credit_entries_workspace_id_key_id_number_idx"),
        ({"model": "m", "kind": Kind.CHARGE}, "credit_entries_workspace_id_model_number_idx"),
        ({"start": START, "end": START}, "credit_entries_workspace_id_time_idx"),
        ({"reference": "r", "kind": Kind.CHARGE}, "sqlite_autoindex_credit_entries_2"),
    ],
)
async def test_entries_are_searched_for(path: Path, fields: dict[str, Any], index: str) -> None:
    """By the best index that there is for a filter; what this finds is looked through in parts."""
    migrate_sqlite(path)
    async with explained(path, locking=False) as statements:
        await SqlLedger(statements).page(EntryFilter("ws_1", **fields), 9, 7)

    searches = [step for step in statements.plans if step.startswith("SEARCH")]
    assert [step for step in searches if index in step]
    assert not [step for step in statements.plans if step.startswith("SCAN credit")]
