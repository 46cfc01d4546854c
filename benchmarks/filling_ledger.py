"""Fills a workspace's ledger with many charges, straight into the tables in one transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, create_engine, text

from benchmarks.filling import CACHE
from keyauthority.domain.ledger import Entry, Kind, Use
from keyauthority.storage import ledger_tables
from keyauthority.storage.sql.direct import Insertion
from keyauthority.storage.sqlite.direct import insertions

_COST: Final = 1_000
USE: Final = Use(
    key_id="key_bench",
    model="bench/model",
    path="/v1/chat/completions",
    request_id="req_bench",
    counts={"input": 100, "output": 200},
    price_id="price_bench",
    held=2_000,
    status=200,
    session_id="session_bench",
)


def fill_ledger(data_dir: Path, workspace_id: str, count: int) -> None:
    """Makes *count* entries of the one in a ledger of an authority that is not running, on SQLite.

    The one is a grant, out of which the charges are paid; the ledger adds up afterwards.
    """
    engine = create_engine(f"sqlite:///{data_dir / 'keyauthority.db'}")
    with engine.begin() as connection:
        connection.execute(text(CACHE))
        _charge(connection, workspace_id, count)
    engine.dispose()


def _charge(connection: Connection, workspace_id: str, count: int) -> None:
    grant = connection.execute(
        text("SELECT balance, subject FROM credit_entries WHERE workspace_id = :workspace"),
        {"workspace": workspace_id},
    ).one()
    entry = Entry(
        workspace_id,
        2,
        Kind.CHARGE,
        -_COST,
        grant.balance - _COST,
        "charge_bench",
        datetime.now(UTC),
        use=USE,
    )
    row = ledger_tables.entry_row(entry)
    for statement, parameters in insertions(Insertion(ledger_tables.entries), [row]):
        connection.exec_driver_sql(statement, tuple(parameters))
    _copy(connection, workspace_id, count)
    charges = count - 1
    values: dict[str, Any] = {
        "workspace": workspace_id,
        "count": count,
        "grant": grant.subject,
        "spent": charges * _COST,
    }
    for statement in (
        (
            "UPDATE credit_accounts SET balance = balance - :spent, entries = :count "
            "WHERE workspace_id = :workspace"
        ),
        "UPDATE credit_grants SET remaining = remaining - :spent WHERE id = :grant",
        (
            "INSERT INTO credit_draws (workspace_id, number, grant_id, amount) "
            "VALUES (:workspace, :count, :grant, :spent)"
        ),
    ):
        connection.execute(text(statement), values)


def _copy(connection: Connection, workspace_id: str, count: int) -> None:
    # In SQL, since a million rows from Python take a minute. They are a microsecond apart.
    own = {
        "number": "n",
        "balance": "old.balance + (n - 2) * old.amount",
        "reference": "lower(hex(randomblob(16)))",
        "time": "old.time + n",
    }
    names = [column.name for column in ledger_tables.entries.c]
    values = ", ".join(own.get(name, f"old.{name}") for name in names)
    where = {"workspace": workspace_id}
    connection.execute(
        text(
            "CREATE TEMP TABLE pattern AS SELECT * FROM credit_entries "
            "WHERE workspace_id = :workspace AND number = 2"
        ),
        where,
    )
    connection.execute(
        text(
            f"INSERT INTO credit_entries ({', '.join(names)}) WITH RECURSIVE numbers(n) AS "
            "(SELECT 3 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count) "
            f"SELECT {values} FROM numbers, pattern AS old WHERE :count > 2"
        ),
        {"count": count},
    )
