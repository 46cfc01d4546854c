"""Reading keys, within the workspaces that the caller may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
from keyauthority.domain.keys import Key
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Keyring, Store
from keyauthority.domain.recognising import Recognising
from keyauthority.domain.repositories import Cursor, KeyFilter, Transaction
from keyauthority.domain.workspaces import Workspace


async def visible_workspace(tx: Transaction, actor: Actor, workspace_id: str) -> Workspace:
    """Returns the workspace; raises `WORKSPACE_NOT_FOUND` too if *actor* may not see it."""
    if actor.caller.may_touch(workspace_id):
        workspace = await tx.workspaces.get(workspace_id)
        if workspace is not None:
            return workspace
    raise workspace_not_found(workspace_id)


async def visible_keys(tx: Transaction, actor: Actor, key_ids: Sequence[str]) -> list[Key]:
    """Returns the keys, in order; raises `KEY_NOT_FOUND` for the first that *actor* may not see."""
    keys = await tx.keys.get(key_ids)
    for key_id in key_ids:
        if key_id not in keys or not actor.caller.may_touch(keys[key_id].workspace_id):
            raise key_not_found(key_id)
    return [keys[key_id] for key_id in key_ids]


async def changeable_key(tx: Transaction, actor: Actor, key_id: str) -> Key:
    """Returns the key, locked; raises `KEY_NOT_FOUND`, or `KEY_REVOKED`."""
    [key] = await visible_keys(tx, actor, [key_id])
    if key.revocation is not None:
        raise KeyAuthorityError(
            Reason.KEY_REVOKED,
            "the key is revoked, and a revoked key never changes again",
            key_id=key_id,
        )
    return key


async def with_last_use(tx: Transaction, last_used: LastUsed, keys: Sequence[Key]) -> list[Key]:
    """Returns the keys, in order, with the times at which their secrets were last used."""
    return last_used.joined(keys, await tx.last_used.of([key.id for key in keys]))


class Finding:
    """Reads keys for their administrators."""

    def __init__(self, books: Books, store: Store, keyring: Keyring, last_used: LastUsed) -> None:
        self._books = books
        self._recognising = Recognising(store, keyring)
        self._last_used = last_used

    async def get(self, actor: Actor, key_id: str) -> Key:
        """Returns the key; raises `KEY_NOT_FOUND`."""

        async def work(tx: Transaction) -> Key:
            keys = await visible_keys(tx, actor, [key_id])
            [key] = await with_last_use(tx, self._last_used, keys)
            return key

        return await self._books.read(work)

    async def get_all(self, actor: Actor, key_ids: Sequence[str]) -> list[Key]:
        """Returns those of the keys that exist and *actor* may see; raises `FIELD_INVALID`."""
        limits.ids(key_ids, "key")

        async def work(tx: Transaction) -> list[Key]:
            by_id = await tx.keys.get(key_ids)
            keys = [by_id[key_id] for key_id in key_ids if key_id in by_id]
            visible = [key for key in keys if actor.caller.may_touch(key.workspace_id)]
            return await with_last_use(tx, self._last_used, visible)

        return await self._books.read(work)

    async def page(
        self, actor: Actor, which: KeyFilter, limit: int, after: Cursor | None
    ) -> list[Key]:
        """Returns up to *limit* keys that *actor* may see, newest first.

        Raises `WORKSPACE_NOT_FOUND`, `FIELD_INVALID`.
        """
        if len(which.name_contains) > limits.NAME_LENGTH:
            raise invalid("name_contains", f"is longer than {limits.NAME_LENGTH} characters")

        async def work(tx: Transaction) -> list[Key]:
            for workspace_id in which.workspace_ids or ():
                await visible_workspace(tx, actor, workspace_id)
            workspace_ids = which.workspace_ids or actor.caller.workspace_ids or None
            within = replace(which, workspace_ids=workspace_ids)
            keys = await tx.keys.page(within, limit, after)
            return await with_last_use(tx, self._last_used, keys)

        return await self._books.read(work)

    async def lookup(self, actor: Actor, secret: str) -> Key:
        """Returns the key that *secret* belongs, or belonged, to.

        Raises `SECRET_MALFORMED`, `KEY_NOT_FOUND`, `KEYRING_MISMATCH`.
        """
        key = await self._recognising.find(self._recognising.read(limits.presented(secret)))
        if not actor.caller.may_touch(key.workspace_id):
            raise key_not_found("")
        return await self.get(actor, key.id)
