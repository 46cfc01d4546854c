"""The table of slices: what of the workspaces' credits is set apart for sessions of verifiers."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Table, and_, not_

from keyauthority.base.relational.columns import Moment, Numbered, PlainText, microseconds
from keyauthority.domain.slices import OwnedSlice
from keyauthority.escrow.slices import Slice, Word
from keyauthority.storage.tables import metadata

# A session may be over, and none is a row where one process has the sessions in memory.
slices: Final = Table(
    "credit_slices",
    metadata,
    Column("session_id", PlainText, primary_key=True),
    Column("workspace_id", PlainText, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("caller_id", PlainText, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("granted", BigInteger, nullable=False),
    Column("word", Numbered(Word), nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("release_time", Moment),
    CheckConstraint("number >= 1", "number"),
    CheckConstraint("amount >= 0", "amount"),
    CheckConstraint("sequence >= 0", "sequence"),
    CheckConstraint("granted >= 0", "granted"),
    Index(None, "workspace_id"),
)

SET_ASIDE: Final = slices.c.release_time.is_not(None)
OPEN: Final = and_(not_(slices.c.closed), slices.c.release_time.is_(None))
Index(
    "credit_slices_open",
    slices.c.workspace_id,
    slices.c.session_id,
    sqlite_where=OPEN,
    postgresql_where=OPEN,
)
Index(
    "credit_slices_set_aside",
    slices.c.workspace_id,
    slices.c.release_time,
    sqlite_where=SET_ASIDE,
    postgresql_where=SET_ASIDE,
)


def slice_row(one: OwnedSlice) -> tuple[Any, ...]:
    """Returns the row of a slice: a value for each column, as it is stored."""
    return (
        one.session_id,
        one.workspace_id,
        one.slice.number,
        one.caller_id,
        one.slice.amount,
        one.slice.sequence,
        one.slice.granted,
        one.slice.word.value,
        one.slice.closed,
        microseconds(one.release_time),
    )


def slice_of(row: Any) -> OwnedSlice:
    """Returns the slice of *row*."""
    slice_ = Slice(row.number, row.amount, row.sequence, row.granted, row.word, row.closed)
    return OwnedSlice(row.workspace_id, row.session_id, row.caller_id, slice_, row.release_time)
