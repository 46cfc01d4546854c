"""What a verdict needs, read in one statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, select

from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.ports import Snapshot
from keyauthority.domain.revisions import Head
from keyauthority.storage.sql import records
from keyauthority.storage.tables import callers, head, keys, secrets, workspaces

# One row for each secret; a row without a key if none exists, so that the head is always there.
SNAPSHOT: Final = (
    select(head.c.epoch, head.c.revision, workspaces.c.suspended, *records.SECRET, *records.KEY)
    .select_from(head)
    .outerjoin(keys, keys.c.id.in_(bindparam("ids", expanding=True)))
    .outerjoin(workspaces, workspaces.c.id == keys.c.workspace_id)
    .outerjoin(secrets, secrets.c.key_id == keys.c.id)
    .order_by(secrets.c.id.desc())
)

CALLER: Final = select(callers).where(callers.c.id.in_(bindparam("ids", expanding=True)))

_SECRET: Final = slice(3, 3 + len(records.SECRET))
_KEY: Final = slice(_SECRET.stop, _SECRET.stop + len(records.KEY))


def snapshot(rows: Iterable[Sequence[Any]], time: datetime) -> Snapshot:
    """What the *rows* of `SNAPSHOT` say, read at *time*."""
    found: dict[str, Sequence[Any]] = {}
    stored: defaultdict[str, list[StoredSecret]] = defaultdict(list)
    suspended = set()
    for row in rows:
        key_id, workspace_id = row[_KEY][:2]
        if key_id is None:
            continue
        found[key_id] = row[_KEY]
        if row[_SECRET.start] is not None:
            stored[key_id].append(StoredSecret(*row[_SECRET]))
        if row[2]:
            suspended.add(workspace_id)
    whole: dict[str, Key] = {one: records.key(row, stored[one]) for one, row in found.items()}
    return Snapshot(Head(row[0], row[1]), time, whole, frozenset(suspended))
