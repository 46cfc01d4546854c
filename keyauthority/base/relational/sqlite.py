"""A SQLite file: the check that it is ours, its connection, and its schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, NullPool, create_engine, event

from keyauthority.base.relational.outages import FAILURES, UNUSABLE, StorageError, outage
from keyauthority.base.relational.schema import Schema

MAGIC: Final = b"SQLite format 3\0"

Pragmas = Mapping[str, str | int]

DURABLE: Final[Pragmas] = {
    "synchronous": 2,
    "fullfsync": 1,
    "foreign_keys": 1,
    "secure_delete": 1,
    "trusted_schema": 0,
}
"""The pragmas of a file that survives a loss of power (FULL, and on macOS F_FULLFSYNC), and in which
deleted content is overwritten."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The files of one program: the id in their headers, the pragmas of each connection, the schema."""

    application_id: int
    pragmas: Pragmas
    schema: Schema


@contextmanager
def opening_errors(path: Path, failed: str = "opened") -> Iterator[None]:
    """Raises `StorageError` for whatever keeps the file at *path* from being opened, or *failed*."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
    except (*FAILURES, RuntimeError) as error:
        why = str(error) if isinstance(error, RuntimeError) else outage(error) or UNUSABLE
    else:
        return
    raise StorageError(f"the database {path} can't be {failed}: {why}")


def check_is_sqlite(path: Path) -> None:
    """Raises `StorageError` for a file at *path* that is no SQLite database."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise StorageError(f"{path} is no SQLite database; move it away or name another file")


def is_empty(connection: sqlite3.Connection, path: Path, kind: Kind) -> bool:
    """Returns whether the file at *path* has no tables yet.

    Raises `StorageError` for the file of another program, or a schema that this version may not use.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id in (0, kind.application_id) and tables == 0:
        return True
    if application_id != kind.application_id:
        raise StorageError(f"{path} is the database of another program; name another file")
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    try:
        kind.schema.check_usable(revision, _usable_from(connection))
    except StorageError as error:
        raise StorageError(f"{path} can't be opened: {error}") from None
    return False


def _usable_from(connection: sqlite3.Connection) -> str | None:
    tables = "SELECT count(*) FROM sqlite_master WHERE name = 'compatibility'"
    if not connection.execute(tables).fetchone()[0]:
        return None
    usable_from: str
    (usable_from,) = connection.execute("SELECT usable_from FROM compatibility").fetchone()
    return usable_from


def connect(path: Path, pragmas: Pragmas, *, to_read: bool = False) -> sqlite3.Connection:
    """Returns a connection to the existing file at *path* that begins no transaction by itself.

    One *to_read* can neither write the file nor move the write-ahead log into it.

    Any thread may use it, one at a time. The *pragmas* are read back, since SQLite ignores those that
    it doesn't know or support.

    Raises `sqlite3.Error`, or `RuntimeError` if a pragma has no effect.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={'ro' if to_read else 'rw'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for name, value in pragmas.items():
            _set_pragma(connection, name, value)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_pragma(connection: sqlite3.Connection, name: str, value: str | int) -> None:
    connection.execute(f"PRAGMA {name} = {value}").fetchall()
    (actual,) = connection.execute(f"PRAGMA {name}").fetchone()
    if actual != value:
        raise RuntimeError(f"SQLite answers {name} = {actual}, {value} is needed")


def migrate(path: Path, kind: Kind, also: Callable[[Connection], None] = lambda _: None) -> None:
    """Migrates the file at *path* to the newest schema, marks it as of this *kind*, and runs *also*.

    All in one transaction: a start that is cut off leaves no half-made schema, and of two at once,
    the second has nothing left to do.
    """
    with closing(connect(path, kind.pragmas)) as driver:
        engine = create_engine(
            "sqlite://", creator=lambda: driver, poolclass=NullPool, hide_parameters=True
        )
        event.listen(
            engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE")
        )
        with engine.begin() as connection:
            kind.schema.upgrade(connection)
            if connection.exec_driver_sql("PRAGMA application_id").scalar() != kind.application_id:
                connection.exec_driver_sql(f"PRAGMA application_id = {kind.application_id}")
            also(connection)
