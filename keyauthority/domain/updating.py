"""Changing the settings of keys."""

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
    """New values of the settings that `mask` names; other fields of `settings` don't count."""

    mask: frozenset[str]
    settings: KeySettings


class Updating:
    """Changes the settings of keys."""

    def __init__(self, books: Books, last_used: LastUsed) -> None:
        self._books = books
        self._last_used = last_used

    async def update(
        self, actor: Actor, key_id: str, update: KeyUpdate, etag: str
    ) -> tuple[Key, Receipt]:
        """Changes the settings that *update* names, if the key's etag is *etag* (empty: any).

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `KEY_NOT_FOUND`, `KEY_REVOKED`,
        `ETAG_MISMATCH`.
        """

        async def work(change: Change) -> Key:
            tx = change.tx
            before = await changeable_key(tx, actor, key_id)
            etags.check(etag, before.id, before.version)
            settings = before.settings.merged(update.settings, update.mask)
            # An unchanged value may be written again, even a past expiry.
            settings.check(before.settings.differing(settings), tx.time)
            after = before.updated(tx.time, settings)
            if after is not before:
                await tx.keys.update([(before, after)])
                change.alters(key_id, after.workspace_id, *facts.of_key(before, after))
            [key] = await with_last_use(tx, self._last_used, [after])
            return key

        return await self._books.change(actor, work)
