"""How values that SQL has no type for are kept in columns."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, Dialect, Integer, Text, TypeDecorator

from keyauthority.domain.callers import Role
from keyauthority.domain.facts import Action

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

E = TypeVar("E", bound=enum.Enum)

# A fifth of the time of `json.loads`, which first looks for white space that isn't there.
_decode: Final = json.JSONDecoder().raw_decode


class Moment(TypeDecorator[datetime]):
    """A time, as whole microseconds since 1970 in UTC: exact, ordered, the same in any database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(0, 0, value)


class Texts(TypeDecorator[tuple[str, ...]]):
    """Some strings in their order, as a JSON array."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, _dialect: Dialect) -> str:
        return json.dumps(value, ensure_ascii=False)

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> tuple[str, ...]:
        return tuple(_decode(value)[0]) if value is not None else ()


class TextMap(TypeDecorator[Mapping[str, str]]):
    """Strings by name, as a JSON object."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, str] | None, _dialect: Dialect) -> str:
        return json.dumps(dict(value or {}), ensure_ascii=False)

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> dict[str, str]:
        return dict(_decode(value)[0]) if value is not None else {}


class Numbered(TypeDecorator[E]):
    """A member of an enum, as its number."""

    impl = Integer
    cache_ok = True

    def __init__(self, members: type[E]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: E | None, _dialect: Dialect) -> int | None:
        return None if value is None else int(value.value)

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> E | None:
        return None if value is None else self.members(value)


class Happened(TypeDecorator[Action]):
    """What happened, by its number. One that only a newer version has a word for is `OTHER`."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Action | None, _dialect: Dialect) -> int | None:
        return None if value is None else value.value

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> Action | None:
        return None if value is None else _ACTIONS.get(value, Action.OTHER)


_ACTIONS: Final = {action.value: action for action in Action}


class RoleSet(TypeDecorator[frozenset[Role]]):
    """Some roles, one bit each, so that SQL can ask for one."""

    impl = Integer
    cache_ok = True

    @staticmethod
    def bit(role: Role) -> int:
        """The bit that stands for *role*."""
        return 1 << (int(role.value) - 1)

    def process_bind_param(self, value: frozenset[Role] | None, _dialect: Dialect) -> int:
        return sum(map(self.bit, value or ()))

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> frozenset[Role]:
        return frozenset(role for role in Role if self.bit(role) & (value or 0))
