"""A PostgreSQL database: the settings of its sessions, its version, and its schema."""

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
"""The oldest supported PostgreSQL: older ones get no corrections any more."""

# For single statements, whatever the defaults of the database, the user or a pooler are.
_ISOLATION: Final = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
}

SETTINGS: Final = {
    **_ISOLATION,
    # A statement ends before we stop waiting for it. An abandoned transaction ends too: its locks would
    # hold up everybody.
    "statement_timeout": "4500ms",
    "lock_timeout": "4s",
    "idle_in_transaction_session_timeout": "10s",
    # With it, each statement that the planner calls expensive would be compiled anew.
    "jit": "off",
}
"""The settings of each session. None of these timeouts ends a commit that waits."""


def engine_of(primary: Primary, **options: Any) -> AsyncEngine:
    """Returns an engine over connections to the *primary* that shows no parameters in errors."""
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=primary.connect, hide_parameters=True, **options
    )


@contextmanager
def opening_errors(url: PostgresUrl) -> Iterator[None]:
    """Raises `StorageError`, without the password, for whatever keeps *url* from being opened."""
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{url} can't be opened: {error}") from None
    except (*FAILURES, ValueError) as error:
        # The driver's message about a wrong URL may repeat the URL.
        why = outage(error) or "this user may not, or the URL is wrong"
        raise StorageError(f"{url} can't be opened: {why}") from None


async def check_version(driver: Any) -> None:
    """Raises `StorageError` for a PostgreSQL that is too old."""
    version = await driver.fetchval("SELECT current_setting('server_version_num')::int / 10000")
    if version < OLDEST:
        raise StorageError(f"PostgreSQL {OLDEST} or newer is needed")


async def usable_revision(driver: Any, schema: Schema) -> str | None:
    """Returns the revision of the tables in the database; None without tables.

    Raises `StorageError` for tables that this version may not use.
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
    """Migrates the database at *url* to the newest *schema*; several processes may do so at once.

    *name* is the connection's name on the server, *lock* the number of the lock that the processes
    wait for. A schema that must be *alone* is not created beside the tables of another program.

    Raises `StorageError`; a database of another program or a newer version stays as it was.
    """
    with opening_errors(url):
        primary = Primary(url, name, _ISOLATION)
        await check_sessions(primary.connect)
        # All in one transaction: a migration that is cut off leaves no half-made schema.
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
