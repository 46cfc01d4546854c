"""Which versions may use the tables of which: what the newest step says, they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.people import open_people
from keyauthority.base.relational.location import Location
from keyauthority.base.relational.outages import StorageError
from keyauthority.storage.opening import open_books
from tests.e2e.authority import authority_process
from tests.postgres import empty_database
from tests.versions.other_version import AUTHORITY, CONSOLE, Books, newer, older, run

BOOKS = pytest.mark.parametrize("books", [AUTHORITY, CONSOLE], ids=lambda books: books.program)


@pytest.fixture(params=["sqlite", "postgres"])
async def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return tmp_path / "books.db" if request.param == "sqlite" else await empty_database()


@BOOKS
def test_each_step_says_from_where_on_it_is_usable(books: Books) -> None:
    """By a revision that is its own or an older one. The first ones are older than the question."""
    steps = list(books.script().walk_revisions())[::-1]
    first = next(n for n, step in enumerate(steps) if hasattr(step.module, "usable_from"))
    for number, step in enumerate(steps[first:], first):
        assert step.module.usable_from in [one.revision for one in steps[: number + 1]]


@BOOKS
@pytest.mark.parametrize("fewer", [1, 2])
def test_an_older_version(books: Books, fewer: int, location: Location, tmp_path: Path) -> None:
    """The versions before the last one and two steps start over the tables of today if, and only
    if, the newest step says so.
    """
    if fewer >= len(books.known()):
        pytest.skip("there were no such steps")
    root = older(books, tmp_path / "older", fewer)
    assert run(books, Path.cwd(), books.migrate, location).returncode == 0

    ended = run(books, root, books.start, location)

    assert (ended.returncode == 0) is (books.usable_from() in books.known(root)), ended.stderr
    if ended.returncode:
        assert "written by a newer version" in ended.stderr


@BOOKS
async def test_a_newer_version_that_lets_this_one_go_on(
    books: Books, location: Location, tmp_path: Path
) -> None:
    """This version starts, and starts again, over tables with a step that it doesn't know."""
    root = newer(books, tmp_path / "newer", usable_from=books.known()[0])
    assert run(books, root, books.migrate, location).returncode == 0

    for _ in range(2):
        await open_here(books, location)
        assert run(books, Path.cwd(), books.migrate, location).returncode == 0

    # Nor has it taken anything away.
    assert run(books, root, books.start, location).returncode == 0


@BOOKS
async def test_a_newer_version_that_does_not(
    books: Books, location: Location, tmp_path: Path
) -> None:
    """The sentence says what to do."""
    root = newer(books, tmp_path / "newer")
    assert run(books, root, books.migrate, location).returncode == 0

    with pytest.raises(StorageError, match=r"newer version.*9999\)"):
        await open_here(books, location)

    assert run(books, Path.cwd(), books.migrate, location).returncode == 1


async def test_the_authority_serves_on_a_newer_schema(tmp_path: Path) -> None:
    """The whole process: version N-1 on schema N, killed and started again."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    database = data / "authority.db"
    root = newer(AUTHORITY, tmp_path / "newer", usable_from=AUTHORITY.known()[0])
    assert run(AUTHORITY, root, AUTHORITY.migrate, database).returncode == 0

    for _ in range(2):
        async with authority_process(data) as process:
            assert await process.is_serving()
            process.kill()
            await process.ended(within=10)


async def open_here(books: Books, location: Location) -> None:
    opened: Any = open_books(location) if books is AUTHORITY else open_people(location)
    async with opened as store:
        if books is AUTHORITY:
            await store.snapshot([])
        else:
            await store.accounts.page(1)
