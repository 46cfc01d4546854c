"""Revoking keys, by their ids or by a secret."""

from __future__ import annotations

from collections.abc import Sequence

from keyauthority.domain import limits
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import key_not_found
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.finding import visible_keys, with_last_use
from keyauthority.domain.keys import Key, RevocationReason
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Keyring, Store
from keyauthority.domain.recognising import Recognising
from keyauthority.domain.sessions import Receipt


class Revoking:
    """Revokes keys. When a call returns, no verifier anywhere accepts a secret of the keys."""

    def __init__(self, books: Books, last_used: LastUsed) -> None:
        self._books = books
        self._last_used = last_used

    async def revoke(
        self, actor: Actor, key_ids: Sequence[str], reason: RevocationReason, note: str
    ) -> tuple[list[Key], Receipt]:
        """Revokes all of the keys or none, with one fence; revoked keys stay unchanged.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `KEY_NOT_FOUND`.
        """
        limits.ids(key_ids, "key")
        limits.note(note)

        async def work(change: Change) -> list[Key]:
            before = await visible_keys(change.tx, actor, key_ids)
            after = [key.revoked(change.tx.time, reason, note, actor.who) for key in before]
            changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
            await change.tx.keys.update(changed)
            fact = Fact(Action.KEY_REVOKED, {"reason": reason.name, "note": note})
            for _, key in changed:
                change.alters(key.id, key.workspace_id, fact)
            return await with_last_use(change.tx, self._last_used, after)

        return await self._books.change(actor, work, size=len(key_ids))


class RevokingPresented:
    """Revokes the key of a secret: whoever holds a secret may revoke its key.

    A secret that a rotation has ended revokes nothing.
    """

    def __init__(self, books: Books, store: Store, keyring: Keyring) -> None:
        self._recognising = Recognising(store, keyring)
        self._books = books

    async def revoke(self, actor: Actor, secret: str, note: str) -> tuple[Key, Receipt]:
        """Revokes the key as compromised; a revoked key stays unchanged.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `SECRET_MALFORMED`, `KEY_NOT_FOUND`,
        `KEYRING_MISMATCH`.
        """
        limits.note(note)
        presented = self._recognising.read(limits.presented(secret))
        # Before the changing transaction, so that wrong secrets delay no other change.
        key_id = (await self._recognising.find(presented)).id

        async def work(change: Change) -> Key:
            tx = change.tx
            before = (await tx.keys.get([key_id])).get(key_id)
            match = self._recognising.match(before, presented)
            if before is None or match is None or match.ended(tx.time):
                raise key_not_found("")
            after = before.revoked(tx.time, RevocationReason.COMPROMISED, note, actor.who)
            if after is not before:
                await tx.keys.update([(before, after)])
                details = {"reason": "COMPROMISED", "note": note, "by_secret": "true"}
                change.alters(after.id, after.workspace_id, Fact(Action.KEY_REVOKED, details))
            return after

        return await self._books.change(actor, work)
