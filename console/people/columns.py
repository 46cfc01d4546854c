"""How values that SQL has no type for are kept in columns."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, Dialect, Integer, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

E = TypeVar("E", bound=enum.Enum)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# Sorted and compared by code point everywhere, not by the language of a database server.
PlainText: Final[TypeEngine[str]] = Text().with_variant(Text(collation="C"), "postgresql")
# Only a column that SQLite calls INTEGER can be its row id, which numbers itself.
Number: Final[TypeEngine[int]] = BigInteger().with_variant(Integer, "sqlite")


class String(TypeDecorator[str]):
    """Text. What no database can keep is replaced, so that an id made of it is just unknown."""

    impl = PlainText
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class Moment(TypeDecorator[datetime]):
    """A time, as whole microseconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class TextMap(TypeDecorator[Mapping[str, str]]):
    """Strings by name, as a JSON object in ASCII."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, str] | None, _dialect: Dialect) -> str:
        return json.dumps(dict(value or {}))

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> dict[str, str]:
        return {} if value is None else dict(json.loads(value))


class Named(TypeDecorator[E]):
    """A member of an enum, as its value."""

    impl = PlainText
    cache_ok = True

    def __init__(self, members: type[E]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: E | None, _dialect: Dialect) -> str | None:
        return None if value is None else str(value.value)

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> E | None:
        return None if value is None else self.members(value)
