"""The outages of databases, told apart from our own mistakes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy import exc

from keyauthority.base.relational.primary import POOLED, UnfitServerError

LOST: Final = "the connection to the database was lost"
UNUSABLE: Final = "the database can't be used now"

FAILURES: Final = (
    exc.DBAPIError,
    exc.TimeoutError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""What SQLAlchemy, the drivers, the disk and the network raise, also for our own mistakes."""

_PRIMARY: Final = 0xFF
_OF_SQLITE: Final = {
    sqlite3.SQLITE_FULL: "the disk of the database is full",
    sqlite3.SQLITE_CORRUPT: "the database is damaged",
    sqlite3.SQLITE_NOTADB: "the database is damaged",
    sqlite3.SQLITE_READONLY: "the database can't be written",
    sqlite3.SQLITE_BUSY: "the database is locked by another program",
}
# By SQLSTATE, or its class of two characters.
_OF_POSTGRES: Final = {
    "08": LOST,
    # A statement was prepared in another session, or twice in this one.
    "26000": POOLED,
    "42P05": POOLED,
    "25006": "the database can't be written",
    "25P03": "the database ended a transaction that took too long",
    "28": "the database refuses this user",
    "3D": "the database does not exist",
    "40": "the change got in the way of another",
    "42501": "the database refuses this user",
    "53": "the database is out of space, memory or connections",
    "53100": "the disk of the database is full",
    "53300": "the database takes no more connections",
    "55P03": "the change waited too long for another",
    "57": "the database is stopping or starting",
    "57014": "the database took too long",
    "58": "the database failed to read or write a file",
    "XX001": "the database is damaged",
    "XX002": "the database is damaged",
}


class StorageError(Exception):
    """The books can't be opened. The message is one sentence that says what to do about it."""


@contextmanager
def outages(unavailable: Callable[[str], Exception]) -> Iterator[None]:
    """Raises `unavailable(why)` for failures of disk, server or network.

    Our mistakes pass, without the values that the driver would show in a traceback.
    """
    try:
        yield
    except FAILURES as error:
        why = outage(error)
        _hide_values(error)
        if why is None:
            raise
        raise unavailable(why) from error


def outage(error: BaseException) -> str | None:
    """Returns a description of *error* without any content of the database; None for no outage."""
    error = cause(error)
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error)
    if isinstance(error, (TimeoutError, exc.TimeoutError)):
        return "the database does not answer"
    if isinstance(error, UnfitServerError):
        return str(error)
    if isinstance(error, (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return LOST
    state = getattr(error, "sqlstate", None) or ""
    return _OF_POSTGRES.get(state) or _OF_POSTGRES.get(state[:2])


def cause(error: BaseException) -> BaseException:
    """Returns the driver's error that SQLAlchemy's *error* wraps, or else *error*."""
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def is_busy(error: BaseException) -> bool:
    """Returns whether *error*, or its cause, says that another program has the file locked."""
    code = getattr(cause(error.__cause__ or error), "sqlite_errorcode", 0)
    return code & _PRIMARY == sqlite3.SQLITE_BUSY


def is_refusal(error: BaseException) -> bool:
    """Returns whether the server itself said that it did not do what it was asked."""
    return getattr(cause(error), "severity_en", None) == "ERROR"


def _hide_values(error: BaseException) -> None:
    original = cause(error)
    if isinstance(original, asyncpg.DataError):
        # The message repeats the parameter that doesn't fit.
        for layer in (error, getattr(error, "orig", error), original):
            layer.args = (f"{type(original).__name__}: a value that is not of its column's type",)
    elif isinstance(original, asyncpg.PostgresError):
        original.detail = None


def _of_sqlite(error: sqlite3.Error) -> str | None:
    # SQLITE_ERROR is wrong SQL. A bare DatabaseError is damage; its subclasses (a violated constraint,
    # a wrong number of values) are mistakes.
    code = getattr(error, "sqlite_errorcode", 0)
    kinds = (sqlite3.OperationalError, sqlite3.InternalError)
    if code == sqlite3.SQLITE_ERROR or not (
        isinstance(error, kinds) or type(error) is sqlite3.DatabaseError
    ):
        return None
    return _OF_SQLITE.get(code & _PRIMARY, UNUSABLE)
