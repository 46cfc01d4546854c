"""The stores that the suite is run against. A new one joins by its line in `OPENERS`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from keyauthority.domain.ports import Clock, Store
from keyauthority.storage.memory import MemoryStore
from keyauthority.storage.sqlite import open_sqlite
from tests.conformance.records import ManualClock, a_workspace
from tests.postgres import open_postgres_in
from tests.sqlite import new_books
from tests.transactions import changing

Opener = Callable[[Path, Clock], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def open_memory(_directory: Path, clock: Clock) -> AsyncIterator[Store]:
    store = MemoryStore(clock)
    try:
        yield store
    finally:
        await store.close()


def open_sqlite_in(directory: Path, clock: Clock) -> AbstractAsyncContextManager[Store]:
    path = directory / "books.db"
    if not path.exists():
        new_books(path)
    return open_sqlite(path, clock)


OPENERS: dict[str, Opener] = {
    "memory": open_memory,
    "sqlite": open_sqlite_in,
    "postgres": open_postgres_in,
}


@pytest.fixture(params=OPENERS)
def opener(request: pytest.FixtureRequest) -> Opener:
    """How the store under test is opened."""
    return OPENERS[request.param]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(opener: Opener, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    """Empty books, but for the workspace `ws_1`."""
    async with opener(tmp_path, clock) as store:
        async with changing(store) as tx:
            await tx.workspaces.insert(a_workspace())
        yield store
