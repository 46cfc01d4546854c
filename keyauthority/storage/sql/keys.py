"""The keys and their secrets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

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
from keyauthority.storage.sql.statements import AnyRow, Statements, page


class SqlKeys:
    """`Keys` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._time = statements.time

    async def get(self, key_ids: Iterable[str]) -> dict[str, Key]:
        # Locked in one order, so that no two changes wait for each other.
        query = (
            select(*key_tables.KEY, *key_tables.PEOPLE)
            .where(keys.c.id.in_(list(key_ids)))
            .order_by(keys.c.id)
        )
        rows = await self._statements.rows(self._statements.locked(query))
        return {key.id: key for key in await self._whole(rows)}

    async def page(self, which: KeyFilter, limit: int, after: Cursor | None) -> list[Key]:
        query = select(*key_tables.KEY, *key_tables.PEOPLE).where(*self._matches(which))
        return await self._whole(await self._statements.rows(page(query, keys, limit, after)))

    async def insert(self, key: Key) -> None:
        await self._statements.count(insert(keys), [key_tables.new_key_row(key)])
        await self._insert_secrets([(key.id, secret) for secret in reversed(key.secrets)])

    async def insert_imported(self, imported: Sequence[Key]) -> None:
        await self._statements.count(
            insert(keys), [key_tables.new_key_row(key) for key in imported]
        )
        minted = [(key.id, secret) for key in imported for secret in key.secrets]
        await self._insert_secrets(minted)
        rows = [{"digest": secret.digest, "key_id": key_id} for key_id, secret in minted]
        await self._statements.count(insert(imports), rows)

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
            {"key": one.key_id, "one": one.secret.digest, "seal": one.secret.seal} for one in sealed
        ]
        await self._statements.count(update(secrets).where(_is_one()), rows)

    async def update(self, changes: Sequence[tuple[Key, Key]]) -> None:
        await self._update_records([after for _, after in changes])
        altered = [(before, after) for before, after in changes if before.secrets != after.secrets]
        dropped, ended, minted = _differences(altered)
        await self._drop_secrets(dropped)
        await self._end_secrets(ended)
        await self._insert_secrets(minted)

    async def _whole(self, rows: Sequence[AnyRow]) -> list[Key]:
        found: defaultdict[str, list[StoredSecret]] = defaultdict(list)
        key_ids = [row.id for row in rows]
        query = (
            select(secrets.c.key_id, *key_tables.SECRET, *key_tables.SECRET_CREATOR)
            .where(secrets.c.key_id.in_(key_ids))
            .order_by(secrets.c.id.desc())
        )
        for row in await self._statements.rows(query) if key_ids else ():
            found[row.key_id].append(key_tables.secret_with_creator(row))
        return [key_tables.key_with_people(row, found[row.id]) for row in rows]

    def _matches(self, which: KeyFilter) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        if which.workspace_ids is not None:
            conditions.append(keys.c.workspace_id.in_(which.workspace_ids))
        if which.state is not None:
            conditions.append(_in_state(which.state, self._time))
        if which.creator_id:
            conditions.append(keys.c.creator_id == which.creator_id)
        if which.secret_creator_id:
            live = or_(secrets.c.end_time.is_(None), secrets.c.end_time > self._time)
            shown = secrets.c.creator_id == which.secret_creator_id
            conditions.append(keys.c.revoke_time.is_(None))
            conditions.append(keys.c.id.in_(select(secrets.c.key_id).where(shown, live)))
        if which.name_contains:
            # SQL's lower() knows ASCII only, in both databases: in PostgreSQL by the "C" collation.
            wanted = ascii_lower(which.name_contains)
            conditions.append(func.lower(keys.c.name).contains(wanted, autoescape=True))
        return conditions

    async def _update_records(self, changed: Sequence[Key]) -> None:
        rows = [{**key_tables.key_row(key), "key": key.id} for key in changed]
        if rows:
            await self._statements.count(update(keys).where(keys.c.id == bindparam("key")), rows)

    async def _drop_secrets(self, dropped: Sequence[tuple[str, StoredSecret]]) -> None:
        rows = [{"key": key_id, "one": secret.digest} for key_id, secret in dropped]
        if rows:
            await self._statements.count(delete(secrets).where(_is_one()), rows)
            imported = imports.c.digest == bindparam("one")
            await self._statements.count(delete(imports).where(imported), rows)

    async def _end_secrets(self, ended: Sequence[tuple[str, StoredSecret]]) -> None:
        rows = [
            {"key": key_id, "one": secret.digest, "end_time": secret.end_time}
            for key_id, secret in ended
        ]
        if rows:
            await self._statements.count(update(secrets).where(_is_one()), rows)

    async def _insert_secrets(self, minted: Sequence[tuple[str, StoredSecret]]) -> None:
        rows = [key_tables.secret_row(key_id, secret) for key_id, secret in minted]
        if rows:
            await self._statements.count(insert(secrets), rows)


def _is_one() -> ColumnElement[bool]:
    return and_(secrets.c.key_id == bindparam("key"), secrets.c.digest == bindparam("one"))


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


Secrets = list[tuple[str, StoredSecret]]


def _differences(changes: Iterable[tuple[Key, Key]]) -> tuple[Secrets, Secrets, Secrets]:
    """The secrets that are gone, changed and new, with the ids of their keys; oldest first."""
    dropped: Secrets = []
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
        dropped += [(after.id, secret) for secret in old.values()]
    return dropped, changed, added
