"""Finding keys, within the workspaces that the asker may see."""

from __future__ import annotations

from collections.abc import Sequence

from keyauthority.domain import limits
from keyauthority.domain.books import Books
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import (
    KeyAuthorityError,
    Reason,
    invalid,
    key_not_found,
    workspace_not_found,
)
from keyauthority.domain.keys import Key, KeyState
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Keyring, Store
from keyauthority.domain.recognising import Recognising
from keyauthority.domain.repositories import Cursor, KeyFilter, Transaction


async def visible_keys(tx: Transaction, actor: Actor, key_ids: Sequence[str]) -> list[Key]:
    """The keys, in order; raises `KEY_NOT_FOUND` for the first that *actor* can't see."""
    found = await tx.keys.get(key_ids)
    for key_id in key_ids:
        if key_id not in found or not actor.caller.may_touch(found[key_id].workspace_id):
            raise key_not_found(key_id)
    return [found[key_id] for key_id in key_ids]


async def changeable_key(tx: Transaction, actor: Actor, key_id: str) -> Key:
    """The key, to be changed; raises `KEY_NOT_FOUND`, or `KEY_REVOKED` if it can't change again."""
    [key] = await visible_keys(tx, actor, [key_id])
    if key.revocation is not None:
        raise KeyAuthorityError(
            Reason.KEY_REVOKED,
            "the key is revoked, and a revoked key never changes again",
            key_id=key_id,
        )
    return key


async def with_last_use(tx: Transaction, last_used: LastUsed, keys: Sequence[Key]) -> list[Key]:
    """The keys, in order, with when their secrets were last used."""
    return last_used.joined(keys, await tx.last_used.of([key.id for key in keys]))


class Finding:
    """Reads keys for those who administer them."""

    def __init__(self, books: Books, store: Store, keyring: Keyring, last_used: LastUsed) -> None:
        self._books = books
        self._recognising = Recognising(store, keyring)
        self._last_used = last_used

    async def get(self, actor: Actor, key_id: str) -> Key:
        """The key; raises `KEY_NOT_FOUND`."""

        async def work(tx: Transaction) -> Key:
            found = await visible_keys(tx, actor, [key_id])
            [key] = await with_last_use(tx, self._last_used, found)
            return key

        return await self._books.read(work)

    async def get_all(self, actor: Actor, key_ids: Sequence[str]) -> list[Key]:
        """Those of the keys that there are and *actor* may see, in order; raises `FIELD_INVALID`."""
        limits.ids(key_ids, "key")

        async def work(tx: Transaction) -> list[Key]:
            by_id = await tx.keys.get(key_ids)
            keys = [by_id[one] for one in key_ids if one in by_id]
            visible = [key for key in keys if actor.caller.may_touch(key.workspace_id)]
            return await with_last_use(tx, self._last_used, visible)

        return await self._books.read(work)

    async def page(
        self,
        actor: Actor,
        workspace_id: str,
        state: KeyState | None,
        name_contains: str,
        limit: int,
        after: Cursor | None,
        *,
        creator_id: str = "",
        secret_creator_id: str = "",
    ) -> list[Key]:
        """Up to *limit* keys, newest first, of one workspace or of all that *actor* may see.

        Raises `WORKSPACE_NOT_FOUND`, `FIELD_INVALID`.
        """
        if len(name_contains) > limits.NAME_LENGTH:
            raise invalid("name_contains", f"is longer than {limits.NAME_LENGTH} characters")

        async def work(tx: Transaction) -> list[Key]:
            workspace_ids = actor.caller.workspace_ids or None
            if workspace_id:
                if not actor.caller.may_touch(workspace_id) or not await tx.workspaces.get(
                    workspace_id
                ):
                    raise workspace_not_found(workspace_id)
                workspace_ids = (workspace_id,)
            which = KeyFilter(workspace_ids, state, name_contains, creator_id, secret_creator_id)
            found = await tx.keys.page(which, limit, after)
            return await with_last_use(tx, self._last_used, found)

        return await self._books.read(work)

    async def lookup(self, actor: Actor, secret: str) -> Key:
        """The key that *secret* belongs, or belonged, to.

        Raises `SECRET_MALFORMED`, `KEY_NOT_FOUND`, `KEYRING_MISMATCH`.
        """
        presented = self._recognising.read(limits.presented(secret))
        found = await self._recognising.find(presented)
        if not actor.caller.may_touch(found.workspace_id):
            raise key_not_found("")
        return await self.get(actor, found.id)
