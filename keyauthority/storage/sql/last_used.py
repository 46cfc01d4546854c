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

from keyauthority.domain.last_used import Marks
from keyauthority.storage.key_tables import last_used, secrets
from keyauthority.storage.sql.statements import Statements

FORGOTTEN: Final = b""
"""The digest under which the uses of deleted secrets are stored."""


class SqlLastUses:
    """`LastUses` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def note(self, marks: Marks) -> None:
        # In one order everywhere: two replicas that write the same rows wait, and do not deadlock.
        rows = [
            {"key_id": key_id, "digest": digest, "time": time}
            for (key_id, digest), time in sorted(marks.items())
        ]
        await self._statements.count(_unless_later(self._statements.insert(last_used)), rows)

    async def of(self, key_ids: Sequence[str]) -> dict[str, dict[bytes, datetime]]:
        times: defaultdict[str, dict[bytes, datetime]] = defaultdict(dict)
        query = select(last_used).where(last_used.c.key_id.in_(key_ids))
        for key_id, digest, time in await self._statements.rows(query) if key_ids else ():
            times[key_id][digest] = time
        return dict(times)

    async def forget(self, pepper_version: int) -> None:
        """Deletes the digests made with that pepper, and keeps when their keys were last used."""
        stored = _stored_with(pepper_version)
        digest = literal(FORGOTTEN, LargeBinary)
        latest = select(last_used.c.key_id, digest, func.max(last_used.c.time)).where(stored)
        insert = self._statements.insert(last_used)
        copy = insert.from_select(list(last_used.c), latest.group_by(last_used.c.key_id))
        await self._statements.count(_unless_later(copy))
        await self._statements.destroy(delete(last_used).where(stored))


def _unless_later(insert: Any) -> Executable:
    # The insert that replaces an existing row unless its time is later.
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
