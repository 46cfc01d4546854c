"""Reading what a verdict needs, in one statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
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
from keyauthority.domain.sessions import Head
from keyauthority.storage import key_tables
from keyauthority.storage.key_tables import imports, keys, secrets
from keyauthority.storage.tables import callers, head, peppers, terms, workspaces

_IDS: Final[BindParameter[str]] = bindparam("ids", expanding=True)
_DIGESTS: Final[BindParameter[bytes]] = bindparam("digests", expanding=True)
_SECRETS: Final[BindParameter[bytes]] = bindparam("secrets", expanding=True)
_ALIKE: Final = keys.alias()

# Each finds its keys by an index, which an OR of the two would not everywhere.
_OWNERS: Final = union(
    select(_ALIKE.c.id).where(_ALIKE.c.id.in_(_IDS)),
    select(imports.c.key_id).where(imports.c.digest.in_(_DIGESTS)),
).subquery("owners")


def _newest_pepper() -> ScalarSelect[Any]:
    # Of the versions that digests may have been made with.
    state = type_coerce(peppers.c.state, Integer)
    in_use = or_(state == PepperState.ACTIVE.value, state == PepperState.SUPERSEDED.value)
    return select(func.max(peppers.c.version)).where(in_use).scalar_subquery()


# One row for each secret; without any key, one row with the head.
_ROW: Final = select(
    head.c.epoch,
    head.c.revision,
    terms.c.foreign_secrets,
    _newest_pepper().label("newest_pepper"),
    workspaces.c.suspended,
    *key_tables.SECRET,
    *key_tables.KEY,
).order_by(secrets.c.id.desc())


def _keys(books: FromClause, is_asked_for: ColumnElement[bool]) -> Select[Any]:
    # Selects the keys, with all of their secrets.
    return _ROW.select_from(
        books.outerjoin(keys, is_asked_for)
        .outerjoin(workspaces, workspaces.c.id == keys.c.workspace_id)
        .outerjoin(secrets, secrets.c.key_id == keys.c.id)
    )


def _presented(
    books: FromClause, is_asked_for: ColumnElement[bool], digest: ColumnElement[bytes]
) -> Select[Any]:
    # Selects the secrets, with their keys: a key without any of them costs no more than no key.
    return _ROW.select_from(
        books.outerjoin(secrets, is_asked_for & digest.in_(_SECRETS))
        .outerjoin(keys, keys.c.id == secrets.c.key_id)
        .outerjoin(workspaces, workspaces.c.id == keys.c.workspace_id)
    )


_BOOKS: Final = head.join(terms, true())
_WITH_OWNERS: Final = _BOOKS.outerjoin(_OWNERS, true())
_IS_ASKED_FOR: Final = secrets.c.key_id.in_(_IDS)
_IS_OWNED: Final = secrets.c.key_id == _OWNERS.c.id

FEW: Final = 16
"""Up to so many pairs of a key id and a digest are looked up one by one."""

# No index helps with this expression: so the database goes through the secrets of each key.
_UNINDEXED_DIGEST: Final = func.coalesce(secrets.c.digest, secrets.c.digest)

SNAPSHOT: Final = _keys(_BOOKS, keys.c.id.in_(_IDS))
SNAPSHOT_WITH_IMPORTS: Final = _keys(_WITH_OWNERS, keys.c.id == _OWNERS.c.id)
PRESENTED: Final = {
    # By whether there are few pairs, and whether foreign secrets are among them.
    (True, False): _presented(_BOOKS, _IS_ASKED_FOR, secrets.c.digest),
    (True, True): _presented(_WITH_OWNERS, _IS_OWNED, secrets.c.digest),
    (False, False): _presented(_BOOKS, _IS_ASKED_FOR, _UNINDEXED_DIGEST),
    (False, True): _presented(_WITH_OWNERS, _IS_OWNED, _UNINDEXED_DIGEST),
}

CALLER: Final = select(callers).where(callers.c.id.in_(bindparam("ids", expanding=True)))


def query_for(
    key_ids: Sequence[str], digests: Sequence[bytes], secrets: Sequence[bytes] | None
) -> Select[Any]:
    """Returns the statement for the arguments of `Store.snapshot`."""
    if secrets is None:
        return SNAPSHOT_WITH_IMPORTS if digests else SNAPSHOT
    few = max(len(key_ids), 1) * len(secrets) <= FEW
    return PRESENTED[few, bool(digests)]


def snapshot(rows: Sequence[Any], time: datetime, digests: Sequence[bytes]) -> Snapshot:
    """Returns the snapshot that the *rows*, read at *time*, make; *digests* are foreign ones."""
    key_rows: dict[str, Any] = {}
    stored: defaultdict[str, list[StoredSecret]] = defaultdict(list)
    suspended = set()
    foreign, imported = frozenset(digests), {}
    for row in rows:
        key_id = row.id
        if key_id is None:
            continue
        key_rows[key_id] = row
        if row.secret_digest is not None:
            stored[key_id].append(key_tables.secret(row))
            if row.secret_digest in foreign:
                imported[row.secret_digest] = key_id
        if row.suspended:
            suspended.add(row.workspace_id)
    first = rows[0]
    return Snapshot(
        head=Head(first.epoch, first.revision),
        time=time,
        keys={key_id: key_tables.key(row, stored[key_id]) for key_id, row in key_rows.items()},
        suspended=frozenset(suspended),
        imports=imported,
        foreign_secrets=bool(first.foreign_secrets),
        newest_pepper=first.newest_pepper or 0,
    )
