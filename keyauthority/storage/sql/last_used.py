"""When secrets were last used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Executable,
    LargeBinary,
    and_,
    delete,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from keyauthority.domain.last_used import Marks
from keyauthority.storage.key_tables import last_used, secrets
from keyauthority.storage.sql.statements import Statements

_INSERT: Final = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

FORGOTTEN: Final = b""
"""Stands for the digests of a key that must not be kept any longer."""


class SqlLastUses:
    """`LastUses` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def note(self, marks: Marks) -> None:
        # In one order everywhere: two replicas that write the same rows wait, and don't deadlock.
        rows = [
            {"key_id": key_id, "digest": digest, "time": time}
            for (key_id, digest), time in sorted(marks.items())
        ]
        if rows:
            await self._statements.count(_unless_later(self._insert()), rows)

    async def of(self, key_ids: Sequence[str]) -> dict[str, dict[bytes, datetime]]:
        found: defaultdict[str, dict[bytes, datetime]] = defaultdict(dict)
        query = select(last_used).where(last_used.c.key_id.in_(key_ids))
        for key_id, digest, time in await self._statements.rows(query) if key_ids else ():
            found[key_id][digest] = time
        return dict(found)

    async def forget(self, pepper_version: int) -> None:
        """Leaves no digest made with that pepper, but still knows when its key was last used."""
        stored = _stored_with(pepper_version)
        digest = literal(FORGOTTEN, LargeBinary)
        latest = select(last_used.c.key_id, digest, func.max(last_used.c.time)).where(stored)
        copy = self._insert().from_select(list(last_used.c), latest.group_by(last_used.c.key_id))
        await self._statements.count(_unless_later(copy))
        await self._statements.destroy(delete(last_used).where(stored))

    def _insert(self) -> Any:
        return _INSERT[self._statements.dialect](last_used)


def _unless_later(insert: Any) -> Executable:
    # The insert that leaves alone a row which is there with a later time, and replaces another.
    replacing: Executable = insert.on_conflict_do_update(
        index_elements=[last_used.c.key_id, last_used.c.digest],
        set_={"time": insert.excluded.time},
        where=insert.excluded.time > last_used.c.time,
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
