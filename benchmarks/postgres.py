"""PostgreSQL for what needs it: a server of one's own, on the disk, as what it costs to sync counts."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks import paths
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.server import migrate
from tests import postgres


class NoPostgresError(Exception):
    """There is no PostgreSQL to be had; the message says why."""


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server: the one of `KEYAUTHORITY_TEST_POSTGRES`, or one that ends with this.

    Raises `NoPostgresError`.
    """
    with ExitStack() as stack:
        url = os.environ.get("KEYAUTHORITY_TEST_POSTGRES")
        if url is None:
            try:
                own = postgres.new_server(folder=Path(tempfile.gettempdir()))
            except pytest.skip.Exception as reason:
                raise NoPostgresError(str(reason)) from None
            stack.callback(own.remove)
            url = own.url
        yield url


def version(url: str) -> str:
    """The version of the server at *url*."""
    ((text,),) = asyncio.run(postgres.run_sql(url, "SHOW server_version"))
    return str(text)


@contextmanager
def books(url: str, data_dir: Path) -> Iterator[None]:
    """Gives *data_dir* a fresh database in the server at *url* while the context lasts."""
    database = asyncio.run(postgres.empty_database(url))
    migrate(database)
    data_dir.mkdir(mode=0o700)
    paths.postgres_url(data_dir).write_text(database.reveal())
    try:
        yield
    finally:
        asyncio.run(_drop(url, database))


async def _drop(url: str, database: PostgresUrl) -> None:
    await postgres.run_sql(url, f"DROP DATABASE {postgres.name_of(database)} WITH (FORCE)")
