"""The pepper versions, and how many credentials need each."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Final

from sqlalchemy import delete, func, insert, or_, select, update

from keyauthority.domain.peppers import Pepper
from keyauthority.storage.key_tables import imports, keys, secrets
from keyauthority.storage.sql.last_used import SqlLastUses
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.tables import callers, peppers

_NAME: Final = "peppers"


class SqlPeppers:
    """`Peppers` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._time = statements.time

    async def all(self) -> list[Pepper]:
        await self._statements.together(_NAME)
        return await self._all()

    async def to_change(self) -> list[Pepper]:
        await self._statements.alone(_NAME)
        return await self._all()

    async def _all(self) -> list[Pepper]:
        rows = await self._statements.rows(select(peppers).order_by(peppers.c.version))
        return [Pepper(**row._asdict()) for row in rows]

    async def put(self, pepper: Pepper) -> None:
        replacing = update(peppers).where(peppers.c.version == pepper.version)
        if await self._statements.count(replacing.values(asdict(pepper))) == 0:
            await self._statements.count(insert(peppers).values(asdict(pepper)))

    async def uses(self) -> dict[int, int]:
        not_ended = or_(secrets.c.end_time.is_(None), secrets.c.end_time > self._time)
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
