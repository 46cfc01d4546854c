"""What databases do instead of what they are asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy import exc

from console.people.errors import StoreUnavailable
from keyauthority.base.relational.primary import POOLED, UnfitServerError

FAILURES: Final = (
    exc.DBAPIError,
    exc.TimeoutError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""What SQLAlchemy, the drivers, the disk and the network raise."""

_PRIMARY: Final = 0xFF
_OF_SQLITE: Final = {
    sqlite3.SQLITE_FULL: "the disk of the console's database is full",
    sqlite3.SQLITE_CORRUPT: "the console's database is damaged",
    sqlite3.SQLITE_NOTADB: "the console's database is damaged",
    sqlite3.SQLITE_READONLY: "the console's database can't be written",
    sqlite3.SQLITE_BUSY: "the console's database is locked by another program",
}
# By SQLSTATE, or its class of two characters.
_OF_POSTGRES: Final = {
    "08": "the connection to the console's database was lost",
    "26000": POOLED,
    "42P05": POOLED,
    "25006": "the console's database can't be written",
    "28": "the console's database refuses this user",
    "3D": "the console's database does not exist",
    "42501": "the console's database refuses this user",
    "53": "the console's database is out of space, memory or connections",
    "55P03": "the console's database is busy",
    "57": "the console's database is stopping, starting or too slow",
}


@contextmanager
def outages() -> Iterator[None]:
    """Raises `StoreUnavailable` for whatever a database, its driver or the network did."""
    try:
        yield
    except FAILURES as error:
        raise StoreUnavailable(sentence(error)) from error


def sentence(error: BaseException) -> str:
    """What *error* means, in words that hold nothing of the database."""
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        error = error.orig.__cause__ or error.orig
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        return _OF_SQLITE.get(code, _OTHERWISE)
    if isinstance(error, UnfitServerError):
        return str(error)
    if isinstance(error, (TimeoutError, exc.TimeoutError)):
        return "the console's database does not answer"
    if isinstance(error, (OSError, asyncpg.InterfaceError)):
        return _OF_POSTGRES["08"]
    state = getattr(error, "sqlstate", None) or ""
    return _OF_POSTGRES.get(state) or _OF_POSTGRES.get(state[:2]) or _OTHERWISE


_OTHERWISE: Final = "the console's database can't be used now"
