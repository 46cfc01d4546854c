"""The keys and their secrets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from keyauthority.base.relational.columns import ascii_lower
from keyauthority.domain.keys import Key, KeyState, StoredSecret
from keyauthority.domain.repositories import Cursor, KeyFilter, Unsealed
from keyauthority.storage import key_tables
from keyauthority.storage.key_tables import imports, keys, secrets
from keyauthority.storage.sql.statements import AnyRow, Repository, page

Secrets = list[tuple[str, StoredSecret]]
"""Secrets, each with the id of its key."""


_HOMES: Final = select(keys.c.id, keys.c.workspace_id).where(
    keys.c.id.in_(bindparam("ids", expanding=True))
)


class SqlKeys(Repository):
    """`Keys` within one transaction."""

    async def get(self, key_ids: Iterable[str]) -> dict[str, Key]:
        # Locked in one order, so that no two changes deadlock.
        query = _LOCKED_BY_ID if self._statements.locking else _BY_ID
        rows = await self._statements.read(query, ids=list(key_ids))
        return {key.id: key for key in await self._whole(rows)}

    async def homes(self, key_ids: Collection[str]) -> dict[str, str]:
        rows = await self._statements.read(_HOMES, ids=list(key_ids))
        return {row.id: row.workspace_id for row in rows}

    async def page(self, which: KeyFilter, limit: int, after: Cursor | None) -> list[Key]:
        query = select(*key_tables.KEY, *key_tables.PEOPLE).where(*self._matches(which))
        return await self._whole(await self._statements.rows(page(query, keys, limit, after)))

    async def insert(self, key: Key) -> None:
        await self._statements.write(_INSERT_KEY, [key_tables.new_key_row(key)])
        await self._insert_secrets([(key.id, secret) for secret in reversed(key.secrets)])

    async def insert_imported(self, imported: Sequence[Key]) -> None:
        rows = [key_tables.new_key_row(key) for key in imported]
        await self._statements.write(_INSERT_KEY, rows)
        minted = [(key.id, secret) for key in imported for secret in key.secrets]
        await self._insert_secrets(minted)
        rows = [{"digest": secret.digest, "key_id": key_id} for key_id, secret in minted]
        await self._statements.write(_INSERT_IMPORT, rows)

    async def imported(self, digests: Iterable[bytes]) -> set[bytes]:
        query = select(imports.c.digest).where(imports.c.digest.in_(list(digests)))
        return {digest for (digest,) in await self._statements.rows(query)}

    async def never_sealed(self, limit: int, after: bytes) -> list[Unsealed]:
        is_its_secret = and_(
            secrets.c.key_id == imports.c.key_id, secrets.c.digest == imports.c.digest
        )
        query = (
            select(keys.c.id, keys.c.workspace_id, *key_tables.SECRET)
            .select_from(imports)
            .join(keys, keys.c.id == imports.c.key_id)
            .join(secrets, is_its_secret)
            .where(imports.c.digest > after, secrets.c.seal.is_(None))
            .order_by(imports.c.digest)
            .limit(limit)
        )
        rows = await self._statements.rows(query)
        return [Unsealed(row.id, row.workspace_id, key_tables.secret(row)) for row in rows]

    async def seal(self, sealed: Sequence[Unsealed]) -> None:
        rows = [
            {**_named(entry.key_id, entry.secret), "seal": entry.secret.seal} for entry in sealed
        ]
        await self._statements.write(_UPDATE_SECRET, rows)

    async def update(self, changes: Sequence[tuple[Key, Key]]) -> None:
        rows = [{**key_tables.key_row(after), "of_key": after.id} for _, after in changes]
        await self._statements.write(_UPDATE_KEY, rows)
        deleted, ended, minted = _differences(changes)
        rows = [_named(key_id, secret) for key_id, secret in deleted]
        await self._statements.write(_DELETE_SECRET, rows)
        await self._statements.write(_DELETE_IMPORT, rows)
        rows = [{**_named(key_id, secret), "end_time": secret.end_time} for key_id, secret in ended]
        await self._statements.write(_UPDATE_SECRET, rows)
        await self._insert_secrets(minted)

    async def _insert_secrets(self, minted: Secrets) -> None:
        rows = [key_tables.secret_row(key_id, secret) for key_id, secret in minted]
        await self._statements.write(_INSERT_SECRET, rows)

    async def _whole(self, rows: Sequence[AnyRow]) -> list[Key]:
        stored: defaultdict[str, list[StoredSecret]] = defaultdict(list)
        ids = [row.id for row in rows]
        for row in await self._statements.read(_SECRETS, ids=ids) if rows else ():
            stored[row.key_id].append(key_tables.secret_with_creator(row))
        return [key_tables.key_with_people(row, stored[row.id]) for row in rows]

    def _matches(self, which: KeyFilter) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        if which.workspace_ids is not None:
            conditions.append(keys.c.workspace_id.in_(which.workspace_ids))
        if which.state is not None:
            conditions.append(_in_state(which.state, self._statements.time))
        if which.creator_id:
            conditions.append(keys.c.creator_id == which.creator_id)
        if which.secret_creator_id:
            live = or_(secrets.c.end_time.is_(None), secrets.c.end_time > self._statements.time)
            minted = secrets.c.creator_id == which.secret_creator_id
            conditions.append(keys.c.revoke_time.is_(None))
            conditions.append(keys.c.id.in_(select(secrets.c.key_id).where(minted, live)))
        if which.name_contains:
            # SQL's lower() knows ASCII only, in both databases: in PostgreSQL by the "C" collation.
            part = ascii_lower(which.name_contains)
            conditions.append(func.lower(keys.c.name).contains(part, autoescape=True))
        return conditions


_BY_ID: Final = (
    select(*key_tables.KEY, *key_tables.PEOPLE)
    .where(keys.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(keys.c.id)
)
_LOCKED_BY_ID: Final = _BY_ID.with_for_update(key_share=True)
_SECRETS: Final = (
    select(secrets.c.key_id, *key_tables.SECRET, *key_tables.SECRET_CREATOR)
    .where(secrets.c.key_id.in_(bindparam("ids", expanding=True)))
    .order_by(secrets.c.id.desc())
)
_INSERT_KEY: Final = insert(keys)
_INSERT_SECRET: Final = insert(secrets)
_INSERT_IMPORT: Final = insert(imports)
_is_secret: Final = and_(
    secrets.c.key_id == bindparam("of_key"), secrets.c.digest == bindparam("old_digest")
)
_UPDATE_KEY: Final = update(keys).where(keys.c.id == bindparam("of_key"))
_UPDATE_SECRET: Final = update(secrets).where(_is_secret)
_DELETE_SECRET: Final = delete(secrets).where(_is_secret)
_DELETE_IMPORT: Final = delete(imports).where(imports.c.digest == bindparam("old_digest"))


def _in_state(state: KeyState, now: datetime) -> ColumnElement[bool]:
    # The precedence of Key.state, for SQL.
    revoked = keys.c.revoke_time.is_not(None)
    expired = and_(keys.c.expire_time.is_not(None), keys.c.expire_time <= now)
    match state:
        case KeyState.REVOKED:
            return revoked
        case KeyState.DISABLED:
            return and_(not_(revoked), keys.c.disabled)
        case KeyState.EXPIRED:
            return and_(not_(or_(revoked, keys.c.disabled)), expired)
        case KeyState.ACTIVE:
            return not_(or_(revoked, keys.c.disabled, expired))


def _named(key_id: str, secret: StoredSecret) -> dict[str, Any]:
    return {"of_key": key_id, "old_digest": secret.digest}


def _differences(changes: Iterable[tuple[Key, Key]]) -> tuple[Secrets, Secrets, Secrets]:
    """Returns the deleted, changed and new secrets, with the ids of their keys; oldest first."""
    deleted: Secrets = []
    changed: Secrets = []
    added: Secrets = []
    for before, after in changes:
        old = {secret.digest: secret for secret in before.secrets}
        for secret in reversed(after.secrets):
            was = old.pop(secret.digest, None)
            if was is None:
                added.append((after.id, secret))
            elif was != secret:
                changed.append((after.id, secret))
        deleted += [(after.id, secret) for secret in old.values()]
    return deleted, changed, added
