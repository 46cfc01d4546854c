from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from console.people import People, open_people
from tests.console.living import Console
from tests.console.people_in_it import Cast
from tests.e2e.edge import Edge, edge_running


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One installation for all tests that leave it running."""
    with edge_running(tmp_path_factory.mktemp("edge")) as edge:
        yield edge


@pytest.fixture(scope="session")
def console(edge: Edge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One console for all tests that leave it running; each makes its own workspace and people."""
    console = Console(edge, tmp_path_factory.mktemp("console"), "--max-sign-ins", "0")
    try:
        console.first_owner()
        yield console
    finally:
        console.stop()


@pytest.fixture
def own_console(edge: Edge, tmp_path: Path) -> Iterator[Console]:
    """A console for one test that does something to all of it; nobody owns it yet."""
    console = Console(edge, tmp_path / tmp_path.name)
    try:
        yield console
    finally:
        console.stop()


@pytest.fixture
async def books(console: Console) -> AsyncIterator[People]:
    """The console's own books, opened beside it; what is hashed here takes no time."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    async with open_people(console.database, hasher=cheap) as books:
        yield books


@pytest.fixture
async def cast(console: Console, books: People) -> Cast:
    """A workspace of the test's own, and what it takes to have people in it."""
    return Cast(console, books, console.edge.operator.workspace("Acme"))
