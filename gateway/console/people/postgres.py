"""The console's books in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import asyncpg
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.console.people import migrations
from gateway.console.people.errors import PeopleStoreError
from gateway.console.people.faults import FAILURES, sentence
from keyauthority.location import PostgresUrl

OLDEST: Final = 14

_NAME: Final = "keyauthority-console"
_SETTINGS: Final = {
    "application_name": _NAME,
    # A statement ends by itself before the wait for it does, and so does a transaction that was
    # left behind: its locks would hold up everybody.
    "statement_timeout": "4500",
    "lock_timeout": "4000",
    "idle_in_transaction_session_timeout": "10000",
    "jit": "off",
}
_CONNECT: Final = 2.0
_WAIT: Final = 5.0
_SCHEMA_LOCK: Final = int.from_bytes(b"optcschm")


def postgres_engine(url: PostgresUrl) -> AsyncEngine:
    """A few connections to the primary server that *url* leads to."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(_connect, url, _SETTINGS, _WAIT),
        pool_size=5,
        max_overflow=5,
        pool_timeout=_WAIT,
        pool_pre_ping=True,
        hide_parameters=True,
    )


async def check_postgres(url: PostgresUrl, engine: AsyncEngine) -> None:
    """Raises `PeopleStoreError` unless the database has a schema that this version can use."""
    with _in_a_sentence(url):
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
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(_connect, url, {"application_name": _NAME}, None),
        poolclass=NullPool,
        hide_parameters=True,
    )
    with _in_a_sentence(url):
        # One transaction for all of it: a migration that is cut off leaves no half-made schema.
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))
            if await _revision(connection) is None and await _holds_tables(connection):
                raise PeopleStoreError("it is the database of another program; name another one")
            await connection.run_sync(migrations.upgrade)


async def _connect(
    url: PostgresUrl, settings: dict[str, str], patience: float | None
) -> asyncpg.Connection:
    return await asyncpg.connect(
        url.reveal(),
        timeout=_CONNECT,
        command_timeout=patience,
        target_session_attrs="primary",
        server_settings=settings,
    )


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
