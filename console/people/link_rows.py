"""The rows of one-time links: put into a slot, and taken by the transaction that acts on them."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import timedelta
from typing import Final

from sqlalchemy import delete

from console.people.database import AnyRow, Transaction
from console.people.errors import LinkInvalid
from console.people.records import Link, LinkPurpose, Origin, Role, digest, new_id, new_token
from console.people.tables import links
from keyauthority.client import Secret

LIFETIMES: Final = {
    LinkPurpose.SETUP: timedelta(hours=24),
    LinkPurpose.INVITATION: timedelta(days=7),
    LinkPurpose.RECOVERY: timedelta(hours=1),
}


async def put(
    tx: Transaction,
    purpose: LinkPurpose,
    slot: str,
    by: Origin,
    *,
    email: str = "",
    workspace_id: str = "",
    role: Role | None = None,
    person_id: str = "",
) -> tuple[Link, Secret]:
    """Returns a new link, which replaces the one in the same slot, and its token."""
    token, end = new_token(), tx.now + LIFETIMES[purpose]
    maker = (by.person_id, by.email)
    link = Link(
        purpose, new_id(purpose.value), email, workspace_id, role, person_id, *maker, tx.now, end
    )
    row = asdict(link) | {"digest": digest(token.reveal()), "slot": slot}
    row["person_id"] = person_id or None
    await tx.put(links, row, "slot", row)
    return link, token


async def take(tx: Transaction, token: str, purpose: LinkPurpose) -> Link:
    """Deletes and returns the link: of two calls at once, one gets it. Raises `LinkInvalid`."""
    valid = (links.c.purpose == purpose) & (links.c.expire_time > tx.now)
    link = delete(links).where(links.c.digest == digest(token), valid)
    row = await tx.first(link.returning(links))
    if row is None:
        raise LinkInvalid
    return link_of(row)


def link_of(row: AnyRow) -> Link:
    """Returns the link in a row of `links`."""
    values = {field.name: getattr(row, field.name) for field in fields(Link)}
    return Link(**values | {"person_id": row.person_id or ""})
