"""Telling outages of SQLite from mistakes of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError

from keyauthority.storage.errors import unavailable

_PRIMARY: Final = 0xFF
_SENTENCES: Final = {
    sqlite3.SQLITE_FULL: "the disk of the database is full",
    sqlite3.SQLITE_CORRUPT: "the database is damaged",
    sqlite3.SQLITE_NOTADB: "the database is damaged",
    sqlite3.SQLITE_READONLY: "the database can't be written",
    sqlite3.SQLITE_BUSY: "the database is locked by another program",
}


@contextmanager
def outages() -> Iterator[None]:
    """Raises `STORE_UNAVAILABLE` for what the disk or the file did; mistakes pass unchanged."""
    try:
        yield
    except (DBAPIError, sqlite3.Error, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not _is_outage(cause):
            raise
        raise unavailable(sentence(cause)) from error


def is_busy(error: BaseException) -> bool:
    """Whether *error* says, by its cause if it is one of ours, that another program has the lock."""
    cause = error.__cause__ or error
    code = getattr(getattr(cause, "orig", cause), "sqlite_errorcode", 0)
    return code & _PRIMARY == sqlite3.SQLITE_BUSY


def sentence(error: BaseException | None) -> str:
    """What *error* means, in words that hold nothing of the database."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    return _SENTENCES.get(code, "the database can't be used now")


def _is_outage(error: BaseException | None) -> bool:
    # SQLITE_ERROR is what SQL that can't be understood gives. A bare DatabaseError is damage; the
    # other kinds of it (a broken constraint, a wrong number of values) are mistakes.
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return False
    kinds = (OSError, sqlite3.OperationalError, sqlite3.InternalError)
    return isinstance(error, kinds) or type(error) is sqlite3.DatabaseError
