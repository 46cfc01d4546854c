"""Changing what a key is called, what it may do and how long it lives."""

from __future__ import annotations

from dataclasses import dataclass

from keyauthority.domain import etags, facts
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.finding import changeable_key, with_last_use
from keyauthority.domain.keys import Key, KeySettings
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.sessions import Receipt


@dataclass(frozen=True, slots=True)
class KeyUpdate:
    """New values for those of a key's settings that `mask` names; the others are not looked at."""

    mask: frozenset[str]
    settings: KeySettings


class Updating:
    """Changes keys."""

    def __init__(self, books: Books, last_used: LastUsed) -> None:
        self._books = books
        self._last_used = last_used

    async def update(
        self, actor: Actor, key_id: str, update: KeyUpdate, etag: str
    ) -> tuple[Key, Receipt]:
        """Changes what *update* names, if the key's etag is still *etag* (empty: any).

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `KEY_NOT_FOUND`, `KEY_REVOKED`,
        `ETAG_MISMATCH`.
        """

        async def work(change: Change) -> Key:
            tx = change.tx
            before = await changeable_key(tx, actor, key_id)
            etags.check(etag, before.id, before.version)
            settings = before.settings.merged(update.settings, update.mask)
            # What stays as it is may be written back, a past expiry too.
            settings.check(before.settings.differing(settings), tx.time)
            after = before.updated(tx.time, settings)
            if after is not before:
                await tx.keys.update([(before, after)])
                change.alters(key_id, after.workspace_id, *facts.of_key(before, after))
            [shown] = await with_last_use(tx, self._last_used, [after])
            return shown

        return await self._books.change(actor, work)
