"""The console's books in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, cast

from sqlalchemy import ExceptionContext, NullPool, event, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from console.people import migrations
from console.people.errors import PeopleStoreError
from console.people.faults import FAILURES, sentence
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.primary import CONNECT, Primary, check_sessions

OLDEST: Final = 14

_NAME: Final = "keyauthority-console"
_ISOLATION: Final = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
}
_SETTINGS: Final = {
    **_ISOLATION,
    # A statement ends by itself before the wait for it does, and so does a transaction that was
    # left behind: its locks would hold up everybody.
    "statement_timeout": "4500ms",
    "lock_timeout": "4s",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",
}
_WAIT: Final = 5.0
_SCHEMA_LOCK: Final = int.from_bytes(b"optcschm")


def postgres_engine(url: PostgresUrl) -> AsyncEngine:
    """A few connections to the primary server that *url* leads to."""
    primary = _primary_of(url)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=primary.connect,
        pool_size=5,
        max_overflow=5,
        pool_timeout=_WAIT,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", partial(_check, primary))
    event.listen(engine.sync_engine, "handle_error", partial(_give_up_silent, primary))
    return engine


async def check_postgres(url: PostgresUrl, engine: AsyncEngine) -> None:
    """Raises `PeopleStoreError` unless the database has a schema that this version can use."""
    with _in_a_sentence(url):
        await check_sessions(_primary_of(url).connect)
        async with engine.connect() as connection:
            revision = await _revision(connection)
        if revision is None:
            raise PeopleStoreError("it has no schema yet: run keyauthority-console migrate")
        if migrations.is_older(revision):
            raise PeopleStoreError(
                f"it has an older schema ({revision}): run keyauthority-console migrate"
            )


async def migrate_postgres(url: PostgresUrl) -> None:
    """Brings the database to the newest schema, however many do so at the same time.

    Raises `PeopleStoreError`; a database that isn't ours, or is of a newer version, stays as it was.
    """
    primary = Primary(url, _NAME, _ISOLATION)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=primary.connect,
        poolclass=NullPool,
        hide_parameters=True,
    )
    with _in_a_sentence(url):
        await check_sessions(primary.connect)
        # One transaction for all of it: a migration that is cut off leaves no half-made schema.
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))
            if await _revision(connection) is None and await _holds_tables(connection):
                raise PeopleStoreError("it is the database of another program; name another one")
            await connection.run_sync(migrations.upgrade)


def _primary_of(url: PostgresUrl) -> Primary:
    return Primary(url, _NAME, _SETTINGS, patience=_WAIT)


def _check(primary: Primary, connection: Any, _record: object, _proxy: object) -> None:
    # A connection that nobody used for a while is asked whether it is alive, for less time than a
    # statement may take; if it isn't, all that were made before it are replaced.
    if not primary.is_trusted(connection.driver_connection):
        raise InvalidatePoolError
    try:
        connection.run_async(lambda driver: driver.fetchval("SELECT 1", timeout=CONNECT))
    except FAILURES:
        primary.silent(connection.driver_connection)
        connection.driver_connection.terminate()
        raise InvalidatePoolError from None


def _give_up_silent(primary: Primary, error: ExceptionContext) -> None:
    # Otherwise its transaction would be undone first, which takes as long again.
    if isinstance(error.original_exception, TimeoutError) and error.connection is not None:
        primary.silent(cast("Any", error.connection.connection).driver_connection)
        error.is_disconnect = True


async def _revision(connection: AsyncConnection) -> str | None:
    """The revision of the database's schema, if it has one. Raises `PeopleStoreError` if foreign."""
    version = await _value(connection, "SELECT current_setting('server_version_num')::int / 10000")
    if version < OLDEST:
        raise PeopleStoreError(f"PostgreSQL {OLDEST} or newer is needed")
    if await _value(connection, "SELECT to_regclass('alembic_version')::text") is None:
        return None
    revision: str | None = await _value(connection, "SELECT version_num FROM alembic_version")
    if revision is not None:
        migrations.check_usable(revision, await _usable_from(connection))
    return revision


async def _usable_from(connection: AsyncConnection) -> str | None:
    if await _value(connection, "SELECT to_regclass('compatibility')::text") is None:
        return None
    usable_from: str = await _value(connection, "SELECT usable_from FROM compatibility")
    return usable_from


async def _holds_tables(connection: AsyncConnection) -> bool:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
    return bool(await _value(connection, tables))


async def _value(connection: AsyncConnection, query: str) -> Any:
    return (await connection.execute(text(query))).scalar()


@contextmanager
def _in_a_sentence(url: PostgresUrl) -> Iterator[None]:
    try:
        yield
    except PeopleStoreError as error:
        raise PeopleStoreError(f"{url} can't be opened: {error}") from None
    except (*FAILURES, ValueError) as error:
        # What the driver says of a URL it can't read may repeat it.
        raise PeopleStoreError(f"{url} can't be opened: {sentence(error)}") from None
