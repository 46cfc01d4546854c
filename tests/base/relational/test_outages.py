"""What a database did is told from what we asked of it wrongly."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from keyauthority.base.relational.outages import FAILURES, LOST, outage, outages
from tests.postgres import server_url


class AwayError(Exception):
    """What a set of books says of an outage."""


async def ended(driver: asyncpg.Connection) -> None:
    with suppress(asyncpg.PostgresError, OSError):
        await driver.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    await driver.execute("SELECT 1")


async def too_slow(driver: asyncpg.Connection) -> None:
    await driver.execute("SET statement_timeout = 10")
    await driver.execute("SELECT pg_sleep(5)")


async def unanswered(driver: asyncpg.Connection) -> None:
    await driver.fetch("SELECT pg_sleep(5)", timeout=0.01)


async def unwritable(driver: asyncpg.Connection) -> None:
    async with driver.transaction(readonly=True):
        await driver.execute("CREATE TABLE t (a int)")


async def used_after_its_end(driver: asyncpg.Connection) -> None:
    await driver.close()
    await driver.execute("SELECT 1")


async def unknown_table(driver: asyncpg.Connection) -> None:
    await driver.execute("SELECT * FROM nowhere")


async def broken_rule(driver: asyncpg.Connection) -> None:
    await driver.execute("CREATE TEMPORARY TABLE t (a int PRIMARY KEY)")
    await driver.execute("INSERT INTO t VALUES (1), (1)")


async def wrong_type(driver: asyncpg.Connection) -> None:
    await driver.fetch("SELECT $1::bigint", "a text")


async def wrong_value(driver: asyncpg.Connection) -> None:
    await driver.execute("SELECT 'a text'::bigint")


Deed = Callable[[Any], Awaitable[None]]


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        (ended, LOST),
        (too_slow, "the database took too long"),
        (unanswered, "the database does not answer"),
        (unwritable, "the database can't be written"),
        (used_after_its_end, LOST),
        (unknown_table, None),
        (broken_rule, None),
        (wrong_type, None),
        (wrong_value, None),
    ],
)
async def test_postgres(deed: Deed, why: str | None) -> None:
    """Who cannot answer is away; whom we ask nonsense is not."""
    driver = await asyncpg.connect(server_url())
    try:
        with pytest.raises(FAILURES) as error:
            await deed(driver)
    finally:
        driver.terminate()

    assert outage(error.value) == why


async def test_nobody_there() -> None:
    """The network's word for it is an outage like the server's."""
    with pytest.raises(OSError, match="Connect call failed") as error:
        await asyncpg.connect("postgresql://127.0.0.1:1/nowhere")

    assert outage(error.value) == LOST


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE t SET a = 2", "the database is locked by another program"),
        ("SELECT * FROM nowhere", None),
        ("SELECT nonsense(", None),
        ("INSERT INTO t VALUES (1)", None),
    ],
)
def test_sqlite(tmp_path: Path, statement: str, why: str | None) -> None:
    """A file that another program has is away; a table that isn't there, or a rule, is not."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as books:
        books.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
        books.execute("INSERT INTO t VALUES (1)")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            if why is not None:
                other.execute("BEGIN IMMEDIATE")
            with pytest.raises(sqlite3.Error) as error:
                books.execute(statement)

    assert outage(error.value) == why


def test_a_damaged_file(tmp_path: Path) -> None:
    """What SQLite finds wrong with the file itself is no mistake of ours."""
    path = tmp_path / "a.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xa5" * 5000)
    with closing(sqlite3.connect(path)) as books, pytest.raises(sqlite3.Error) as error:
        books.execute("SELECT * FROM sqlite_master")

    assert outage(error.value) == "the database is damaged"


def test_each_set_of_books_has_its_own_word_for_it() -> None:
    """An outage is raised as that, with its cause; a mistake as what it is."""
    with pytest.raises(AwayError, match=LOST) as away, outages(AwayError):
        raise ConnectionResetError("by peer")
    with pytest.raises(sqlite3.IntegrityError, match="a rule"), outages(AwayError):
        raise sqlite3.IntegrityError("a rule")

    assert isinstance(away.value.__cause__, ConnectionResetError)


@pytest.mark.parametrize(
    "statement", ["INSERT INTO t VALUES ('canary'), ('canary')", "SELECT 'canary'::bigint"]
)
async def test_no_traceback_shows_values(statement: str) -> None:
    """PostgreSQL and its driver repeat them, in details and in messages."""
    driver = await asyncpg.connect(server_url())
    try:
        await driver.execute("CREATE TEMPORARY TABLE t (a text PRIMARY KEY)")
        with pytest.raises(asyncpg.PostgresError) as mistake, outages(AwayError):
            await driver.execute(statement)
        with pytest.raises(asyncpg.PostgresError) as encoding, outages(AwayError):
            await driver.fetch("SELECT $1::bigint", "canary")
    finally:
        driver.terminate()

    for error in (mistake.value, encoding.value):
        assert "canary" not in "".join(traceback.format_exception(error, limit=0))
