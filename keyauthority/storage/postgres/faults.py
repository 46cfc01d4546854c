"""Telling outages of PostgreSQL from mistakes of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError

from keyauthority.base.relational.primary import POOLED, UnfitServerError
from keyauthority.storage.errors import unavailable

LOST: Final = "the connection to the database was lost"

FAILURES: Final = (
    DBAPIError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""What SQLAlchemy, the driver and the network raise; some of it for mistakes of ours."""

# By SQLSTATE, or its class of two characters.
_SENTENCES: Final = {
    "08": LOST,
    # What was prepared in a session is looked for in another one, or made twice in one.
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


@contextmanager
def outages() -> Iterator[None]:
    """Raises `STORE_UNAVAILABLE` for what server or network did; mistakes pass unchanged."""
    try:
        yield
    except FAILURES as error:
        why = sentence(cause(error))
        if why is None:
            raise
        raise unavailable(why) from error


def cause(error: BaseException) -> BaseException:
    """What the driver raised."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def sentence(error: BaseException) -> str | None:
    """What *error* means, in words that hold nothing of the database; None: it is no outage."""
    if isinstance(error, TimeoutError):
        return "the database does not answer"
    if isinstance(error, UnfitServerError):
        return str(error)
    if isinstance(error, asyncpg.DataError):
        return None
    if isinstance(error, (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return LOST
    state = getattr(error, "sqlstate", None) or ""
    return _SENTENCES.get(state) or _SENTENCES.get(state[:2])


def is_refusal(error: BaseException) -> bool:
    """Whether the server itself said of what it was asked that it did not do it."""
    return getattr(cause(error), "severity_en", None) == "ERROR"
