"""A PostgreSQL database: what its sessions are set to, whose it is, and its schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import NullPool, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.outages import FAILURES, StorageError, outage
from keyauthority.base.relational.primary import Primary, check_sessions
from keyauthority.base.relational.schema import Schema

OLDEST: Final = 14
"""The oldest PostgreSQL that the tests are worth something for: an older one gets no corrections."""

# What lone statements run by, whatever the database, the user or a pooler would have.
_ISOLATION: Final = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
}

SETTINGS: Final = {
    **_ISOLATION,
    # A statement ends by itself before the wait for it does, and so does a transaction that was
    # left behind: its locks would hold up everybody.
    "statement_timeout": "4500ms",
    "lock_timeout": "4s",
    "idle_in_transaction_session_timeout": "10s",
    # Each statement that the planner takes for a dear one would be compiled anew.
    "jit": "off",
}
"""What each session has. None of these timeouts touches a commit that waits."""


def engine_of(primary: Primary, **options: Any) -> AsyncEngine:
    """SQLAlchemy's engine over connections to the *primary*; it shows no parameters in errors."""
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=primary.connect, hide_parameters=True, **options
    )


@contextmanager
def in_a_sentence(url: PostgresUrl) -> Iterator[None]:
    """Raises `StorageError`, which holds no password, for whatever keeps *url* from being opened."""
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{url} can't be opened: {error}") from None
    except (*FAILURES, ValueError) as error:
        # What the driver says of a URL it can't read may repeat it.
        why = outage(error) or "this user may not, or the URL is wrong"
        raise StorageError(f"{url} can't be opened: {why}") from None


async def check_version(driver: Any) -> None:
    """Raises `StorageError` for a PostgreSQL that is too old."""
    version = await driver.fetchval("SELECT current_setting('server_version_num')::int / 10000")
    if version < OLDEST:
        raise StorageError(f"PostgreSQL {OLDEST} or newer is needed")


async def usable_revision(driver: Any, schema: Schema) -> str | None:
    """The revision of the tables in the database; None if it has none.

    Raises `StorageError` for those that this version may not use.
    """
    if not await _has_table(driver, "alembic_version"):
        return None
    revision: str | None = await driver.fetchval("SELECT version_num FROM alembic_version")
    if revision is not None:
        usable_from = None
        if await _has_table(driver, "compatibility"):
            usable_from = await driver.fetchval("SELECT usable_from FROM compatibility")
        schema.check_usable(revision, usable_from)
    return revision


async def migrate(url: PostgresUrl, name: str, schema: Schema, lock: int, *, alone: bool) -> None:
    """Brings the database at *url* to the newest *schema*, however many do so at the same time.

    *name* is what the server sees of who is connected, *lock* the number of the lock that those wait
    for. A schema that is to be *alone* is not made beside the tables of another program.

    Raises `StorageError`; what isn't ours, or is of a newer version, stays as it was.
    """
    with in_a_sentence(url):
        primary = Primary(url, name, _ISOLATION)
        await check_sessions(primary.connect)
        # One transaction for all of it: a migration that is cut off leaves no half-made schema.
        async with engine_of(primary, poolclass=NullPool).begin() as connection:
            _ = await connection.execute(select(func.pg_advisory_xact_lock(lock)))
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await check_version(driver)
            revision = await usable_revision(driver, schema)
            if alone and revision is None and await _has_tables(driver):
                raise StorageError("it is the database of another program; name another one")
            await connection.run_sync(schema.upgrade)


async def _has_table(driver: Any, name: str) -> bool:
    return await driver.fetchval("SELECT to_regclass($1)", name) is not None


async def _has_tables(driver: Any) -> bool:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
    return bool(await driver.fetchval(tables))
