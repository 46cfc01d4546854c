"""A SQLite file, and the books in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite import open_sqlite
from tests.conformance.records import ManualClock, a_workspace
from tests.sqlite import new_books
from tests.transactions import changing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    """Books with the workspace `ws_1`."""
    new_books(path)
    async with open_sqlite(path, ManualClock()) as store:
        async with changing(store) as tx:
            await tx.workspaces.insert(a_workspace())
        yield store
