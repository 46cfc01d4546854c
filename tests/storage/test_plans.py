"""How SQLite finds what verdicts need: by its indexes, never by looking through a table."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select

from keyauthority.storage.sql import snapshots
from keyauthority.storage.sqlite import connecting, migrate_sqlite
from keyauthority.storage.sqlite.direct import SqliteDirect

# One row each.
SMALL = {"SCAN head", "SCAN terms"}


@pytest.mark.parametrize("count", [1, 100, 1_000])
@pytest.mark.parametrize("query", [snapshots.SNAPSHOT, snapshots.SNAPSHOT_WITH_IMPORTS])
def test_a_snapshot_searches(path: Path, query: Select[Any], count: int) -> None:
    """However many keys there are, reading some costs the same."""
    migrate_sqlite(path)
    statement, parameters = SqliteDirect(query).bound(
        {"ids": ["id"] * count, "digests": [b"x"] * count}
    )
    with closing(connecting.connect(path)) as connection:
        plan = _plan(connection, statement, parameters)

    scans = {step.removesuffix(" LEFT-JOIN") for step in plan if step.startswith("SCAN")}
    assert scans <= SMALL | {"SCAN owners"}
    assert not [step for step in plan if "AUTOMATIC" in step]
    assert [step for step in plan if step.startswith("SEARCH secrets USING INDEX")]


def _plan(connection: sqlite3.Connection, statement: str, parameters: Any) -> list[str]:
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
