"""PostgreSQL: a server of one's own, on the disk, since what syncing costs counts."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.server import migrate
from tests import postgres


class NoPostgresError(Exception):
    """No PostgreSQL is available; the message says why."""


@contextmanager
def server() -> Iterator[str]:
    """Yields the URL in `KEYAUTHORITY_TEST_POSTGRES`, or that of a server that ends with the context.

    Raises `NoPostgresError`.
    """
    url = os.environ.get("KEYAUTHORITY_TEST_POSTGRES")
    if url is not None:
        yield url
        return
    try:
        own = postgres.new_server(folder=Path(tempfile.gettempdir()))
    except pytest.skip.Exception as reason:
        raise NoPostgresError(str(reason)) from None
    try:
        yield own.url
    finally:
        own.remove()


def version(url: str) -> str:
    """Returns the version of the server at *url*."""
    ((text,),) = asyncio.run(postgres.run_sql(url, "SHOW server_version"))
    return str(text)


def commits_of(database: PostgresUrl) -> int:
    """Returns how many transactions changed *database* so far, as each connection counts its own."""
    ((commits,),) = asyncio.run(postgres.run_sql(database, "SELECT sum(number) FROM commits"))
    return int(commits)


@contextmanager
def migrated_database(url: str) -> Iterator[PostgresUrl]:
    """Yields a fresh database in the server at *url*, which ends with the context."""
    database = asyncio.run(postgres.empty_database(url))
    migrate(database)
    try:
        yield database
    finally:
        drop = f"DROP DATABASE {postgres.name_of(database)} WITH (FORCE)"
        asyncio.run(postgres.run_sql(url, drop))
