"""Column types for values that SQL has no type for, the same in every database."""

from __future__ import annotations

import enum
import json
import string
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

E = TypeVar("E", bound=enum.Enum)
V = TypeVar("V", str, int)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

# A fifth of the time of `json.loads`, which first looks for white space.
_decode: Final = json.JSONDecoder().raw_decode

# Sorted and compared by code point everywhere, not by the language of a database server.
PlainText: Final[TypeEngine[str]] = Text().with_variant(Text(collation="C"), "postgresql")
# Only a column that SQLite calls INTEGER can be its row id, which numbers itself.
Number: Final[TypeEngine[int]] = BigInteger().with_variant(Integer, "sqlite")


def without_nul(text: str) -> str:
    """Returns *text* without NUL, which PostgreSQL can't store.

    No stored text has one, so that a search for one finds nothing.
    """
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def ascii_lower(text: str) -> str:
    """Returns *text* with A-Z in lower case and all other letters unchanged, as databases do."""
    return text.translate(_LOWER)


class String(TypeDecorator[str]):
    """Text. Characters that no database can store are replaced: an id with one is unknown."""

    impl = PlainText
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        return None if value is None else without_nul(value.encode("utf-8", "replace").decode())


def microseconds(time: datetime | None) -> int | None:
    """Returns *time* as a `Moment` is stored."""
    return None if time is None else (time - _EPOCH) // _MICROSECOND


class Moment(TypeDecorator[datetime]):
    """A time, as whole microseconds since 1970 in UTC: exact, ordered, the same in any database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        return microseconds(value)

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(0, 0, value)


class Texts(TypeDecorator[tuple[str, ...]]):
    """Strings in their order, as a JSON array."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, _dialect: Dialect) -> str:
        return json.dumps(value)

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> tuple[str, ...]:
        return tuple(_decode(value)[0]) if value is not None else ()


class _Map(TypeDecorator[Mapping[str, V]]):
    # A JSON object in ASCII, which every database can store.
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, V] | None, _dialect: Dialect) -> str:
        return json.dumps(dict(value or {}))

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> dict[str, V]:
        return dict(_decode(value)[0]) if value is not None else {}


class TextMap(_Map[str]):
    """Strings by name."""

    cache_ok = True


class NumberMap(_Map[int]):
    """Whole numbers by name."""

    cache_ok = True


class _Member(TypeDecorator[E]):
    """A member of an enum, as its value."""

    cache_ok = True

    def __init__(self, members: type[E]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: E | None, _dialect: Dialect) -> Any:
        return None if value is None else value.value

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> E | None:
        return None if value is None else self.members(value)


class Named(_Member[E]):
    """A member of an enum whose values are strings."""

    impl = PlainText
    cache_ok = True


class Numbered(_Member[E]):
    """A member of an enum whose values are numbers."""

    impl = Integer
    cache_ok = True


def new_metadata() -> MetaData:
    """Returns metadata that names constraints and indexes the same in every database."""
    return MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        }
    )


def compatibility_in(metadata: MetaData) -> Table:
    """Returns the table with the oldest schema revision that a version must know to use the tables."""
    return Table(
        "compatibility",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("usable_from", Text, nullable=False),
        CheckConstraint("id = 1", "one_row"),
    )
