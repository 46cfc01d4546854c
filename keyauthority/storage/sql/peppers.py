"""The pepper versions, and when the secrets made with them were last used."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Table,
    UpdateBase,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from keyauthority.domain.last_used import Marks
from keyauthority.domain.peppers import Pepper
from keyauthority.storage.key_tables import imports, keys, last_used, secrets
from keyauthority.storage.sql.statements import Repository
from keyauthority.storage.tables import callers, peppers

_NAME: Final = "peppers"

_ALL: Final = select(peppers).order_by(peppers.c.version)

FORGOTTEN: Final = b""
"""The digest under which the uses of deleted secrets are stored."""


class SqlPeppers(Repository):
    """`Peppers` within one transaction."""

    async def all(self) -> list[Pepper]:
        await self._statements.together(_NAME)
        return await self._all()

    async def to_change(self) -> list[Pepper]:
        await self._statements.alone(_NAME)
        return await self._all()

    async def _all(self) -> list[Pepper]:
        rows = await self._statements.read(_ALL)
        return [Pepper(**row._asdict()) for row in rows]

    async def put(self, pepper: Pepper) -> None:
        replacing = update(peppers).where(peppers.c.version == pepper.version)
        if await self._statements.count(replacing.values(asdict(pepper))) == 0:
            await self._statements.count(insert(peppers).values(asdict(pepper)))

    async def uses(self) -> dict[int, int]:
        not_ended = or_(secrets.c.end_time.is_(None), secrets.c.end_time > self._statements.time)
        by_keys = (
            select(secrets.c.pepper_version, func.count())
            .join(keys, keys.c.id == secrets.c.key_id)
            .where(not_ended, keys.c.revoke_time.is_(None))
            .group_by(secrets.c.pepper_version)
        )
        by_callers = (
            select(callers.c.pepper_version, func.count())
            .where(callers.c.revoke_time.is_(None))
            .group_by(callers.c.pepper_version)
        )
        uses: Counter[int] = Counter()
        for query in (by_keys, by_callers):
            for version, count in await self._statements.rows(query):
                uses[version] += count
        return dict(uses)

    async def forget(self, version: int) -> None:
        await SqlLastUses(self._statements).forget(version)
        old = secrets.c.pepper_version == version
        imported = imports.c.digest.in_(select(secrets.c.digest).where(old))
        await self._statements.destroy(delete(imports).where(imported))
        await self._statements.destroy(delete(secrets).where(old))
        tokens = update(callers).where(callers.c.pepper_version == version)
        await self._statements.count(tokens.values(digest=b""))


@cache
def _noting(insert: Callable[[Table], Any]) -> UpdateBase:
    return _unless_later(insert(last_used))


class SqlLastUses(Repository):
    """`LastUses` within one transaction."""

    async def note(self, marks: Marks) -> None:
        # In one order everywhere: two replicas that write the same rows wait, and do not deadlock.
        rows = [
            {"key_id": key_id, "digest": digest, "time": time}
            for (key_id, digest), time in sorted(marks.items())
        ]
        await self._statements.write(_noting(self._statements.insert), rows)

    async def of(self, key_ids: Sequence[str]) -> dict[str, dict[bytes, datetime]]:
        times: defaultdict[str, dict[bytes, datetime]] = defaultdict(dict)
        read = self._statements.read
        for key_id, digest, time in await read(_USES, ids=key_ids) if key_ids else ():
            times[key_id][digest] = time
        return dict(times)

    async def forget(self, pepper_version: int) -> None:
        """Deletes the digests made with that pepper, and keeps when their keys were last used."""
        stored = _stored_with(pepper_version)
        digest = literal(FORGOTTEN, LargeBinary)
        latest = select(last_used.c.key_id, digest, func.max(last_used.c.time)).where(stored)
        into = self._statements.insert(last_used)
        copy = into.from_select(list(last_used.c), latest.group_by(last_used.c.key_id))
        await self._statements.count(_unless_later(copy))
        await self._statements.destroy(delete(last_used).where(stored))


_USES: Final = select(last_used).where(last_used.c.key_id.in_(bindparam("ids", expanding=True)))


def _unless_later(inserting: Any) -> UpdateBase:
    # Replaces an existing row unless its time is later.
    replacing: UpdateBase = inserting.on_conflict_do_update(
        index_elements=[last_used.c.key_id, last_used.c.digest],
        set_={"time": inserting.excluded.time},
        where=inserting.excluded.time > last_used.c.time,
    )
    return replacing


def _stored_with(pepper_version: int) -> ColumnElement[bool]:
    return exists().where(
        and_(
            secrets.c.key_id == last_used.c.key_id,
            secrets.c.digest == last_used.c.digest,
            secrets.c.pepper_version == pepper_version,
        )
    )
