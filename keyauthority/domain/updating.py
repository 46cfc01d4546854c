"""Changing what a key is called, what it may do and how long it lives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from keyauthority.domain import etags, facts, limits
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.fencing import Receipt
from keyauthority.domain.finding import changeable_key, with_last_use
from keyauthority.domain.keys import Key
from keyauthority.domain.last_used import LastUsed


@dataclass(frozen=True, slots=True)
class KeyFields:
    """New values for a key. Only the fields named in `mask` are looked at."""

    mask: frozenset[str]
    name: str = ""
    disabled: bool = False
    expire_time: datetime | None = None
    scopes: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None

    def checked(self, before: Key, now: datetime) -> dict[str, object]:
        """The named fields and their values; raises `FIELD_INVALID` for one that breaks a limit."""
        values: dict[str, Callable[[], object]] = {
            "name": lambda: limits.name(self.name),
            "disabled": lambda: self.disabled,
            "expire_time": lambda: self._expire_time(before, now),
            "scopes": lambda: limits.scopes(self.scopes),
            "labels": lambda: limits.labels(self.labels or {}),
        }
        return {field: values[field]() for field in sorted(self.mask)}

    def _expire_time(self, before: Key, now: datetime) -> datetime | None:
        # An expired key keeps its expiry when all of its fields are written back.
        if self.expire_time == before.expire_time:
            return self.expire_time
        return limits.expire_time(self.expire_time, now)


KEY_FIELDS = frozenset(KeyFields.__slots__) - {"mask"}
"""The fields that an update may name."""


class Updating:
    """Changes keys."""

    def __init__(self, books: Books, last_used: LastUsed) -> None:
        self._books = books
        self._last_used = last_used

    async def update(
        self, actor: Actor, key_id: str, fields: KeyFields, etag: str
    ) -> tuple[Key, Receipt]:
        """Changes the fields that *fields* names, if the key's etag is still *etag* (empty: any).

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `KEY_NOT_FOUND`, `KEY_REVOKED`,
        `ETAG_MISMATCH`.
        """

        async def work(change: Change) -> Key:
            before = await changeable_key(change.tx, actor, key_id)
            etags.check(etag, before.id, before.version)
            after = before.updated(change.tx.time, **fields.checked(before, change.tx.time))
            if after is not before:
                await change.tx.keys.update([(before, after)])
                change.alters(key_id, after.workspace_id, *facts.of_key(before, after))
            [shown] = await with_last_use(change.tx, self._last_used, [after])
            return shown

        return await self._books.change(actor, work)
