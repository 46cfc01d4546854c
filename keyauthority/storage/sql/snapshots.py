"""What a verdict needs, read in one statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    ScalarSelect,
    Select,
    bindparam,
    func,
    or_,
    select,
    true,
    type_coerce,
    union,
)

from keyauthority.domain.keys import StoredSecret
from keyauthority.domain.peppers import PepperState
from keyauthority.domain.ports import Snapshot
from keyauthority.domain.revisions import Head
from keyauthority.storage.sql import records
from keyauthority.storage.tables import (
    callers,
    head,
    imports,
    keys,
    peppers,
    secrets,
    terms,
    workspaces,
)

_IDS: Final[BindParameter[str]] = bindparam("ids", expanding=True)
_DIGESTS: Final[BindParameter[bytes]] = bindparam("digests", expanding=True)
_ALIKE: Final = keys.alias()

# Each finds its keys by an index, which an OR of the two would not everywhere.
_OWNERS: Final = union(
    select(_ALIKE.c.id).where(_ALIKE.c.id.in_(_IDS)),
    select(imports.c.key_id).where(imports.c.digest.in_(_DIGESTS)),
).subquery("owners")


def _newest_pepper() -> ScalarSelect[Any]:
    # Of those that digests may have been made with.
    state = type_coerce(peppers.c.state, Integer)
    kept = or_(state == PepperState.ACTIVE.value, state == PepperState.SUPERSEDED.value)
    return select(func.max(peppers.c.version)).where(kept).scalar_subquery()


def _of(books: FromClause, is_asked_for: ColumnElement[bool]) -> Select[Any]:
    # One row for each secret; a row without a key if none exists, so that the head is always there.
    return (
        select(
            head.c.epoch,
            head.c.revision,
            terms.c.foreign_secrets,
            _newest_pepper(),
            workspaces.c.suspended,
            *records.SECRET,
            *records.KEY,
        )
        .select_from(books)
        .outerjoin(keys, is_asked_for)
        .outerjoin(workspaces, workspaces.c.id == keys.c.workspace_id)
        .outerjoin(secrets, secrets.c.key_id == keys.c.id)
        .order_by(secrets.c.id.desc())
    )


_BOOKS: Final = head.join(terms, true())

SNAPSHOT: Final = _of(_BOOKS, keys.c.id.in_(_IDS))
SNAPSHOT_WITH_IMPORTS: Final = _of(_BOOKS.outerjoin(_OWNERS, true()), keys.c.id == _OWNERS.c.id)

CALLER: Final = select(callers).where(callers.c.id.in_(bindparam("ids", expanding=True)))

_SECRET: Final = slice(5, 5 + len(records.SECRET))
_KEY: Final = slice(_SECRET.stop, _SECRET.stop + len(records.KEY))


def snapshot(rows: Iterable[Sequence[Any]], time: datetime, digests: Sequence[bytes]) -> Snapshot:
    """What the *rows* of either statement say, read at *time*; *digests* were asked for."""
    found: dict[str, Sequence[Any]] = {}
    stored: defaultdict[str, list[StoredSecret]] = defaultdict(list)
    suspended = set()
    asked, imported = frozenset(digests), {}
    for row in rows:
        key_id, workspace_id = row[_KEY][:2]
        if key_id is None:
            continue
        found[key_id] = row[_KEY]
        if row[_SECRET.start] is not None:
            secret = StoredSecret(*row[_SECRET])
            stored[key_id].append(secret)
            if secret.digest in asked:
                imported[secret.digest] = key_id
        if row[4]:
            suspended.add(workspace_id)
    epoch, revision, foreign_secrets, newest_pepper = row[:4]
    return Snapshot(
        head=Head(epoch, revision),
        time=time,
        keys={one: records.key(row, stored[one]) for one, row in found.items()},
        suspended=frozenset(suspended),
        imports=imported,
        foreign_secrets=bool(foreign_secrets),
        newest_pepper=newest_pepper or 0,
    )
