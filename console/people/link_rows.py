"""The rows of one-time links: put into a slot, and taken by the transaction that acts on them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete

from console.people.database import AnyRow, Transaction
from console.people.errors import LinkInvalid
from console.people.records import Link, LinkPurpose, Origin, digest, new_id, new_token
from console.people.tables import links
from keyauthority.client import Secret

LIFETIMES: Final = {
    LinkPurpose.SETUP: timedelta(hours=24),
    LinkPurpose.INVITATION: timedelta(days=7),
    LinkPurpose.RECOVERY: timedelta(hours=1),
}


async def put(
    tx: Transaction, purpose: LinkPurpose, slot: str, by: Origin, **values: Any
) -> tuple[AnyRow, Secret]:
    """Returns a new link, which replaces the one in the same slot, and its token."""
    token = new_token()
    row = {
        "digest": digest(token.reveal()),
        "slot": slot,
        "id": new_id(purpose.value),
        "purpose": purpose,
        "email": "",
        "workspace_id": "",
        "role": None,
        "person_id": None,
        "invited_by": by.person_id,
        "inviter_email": by.email,
        "create_time": tx.now,
        "expire_time": tx.now + LIFETIMES[purpose],
        **values,
    }
    return await tx.put(links, row, "slot", row), token


async def take(tx: Transaction, token: str, purpose: LinkPurpose) -> Link:
    """Deletes the link and returns it: of two that take it at once, one gets it.

    Raises `LinkInvalid`.
    """
    valid = (links.c.purpose == purpose) & (links.c.expire_time > tx.now)
    link = delete(links).where(links.c.digest == digest(token), valid)
    row = await tx.first(link.returning(links))
    if row is None:
        raise LinkInvalid
    return link_of(row)


def link_of(row: AnyRow) -> Link:
    """Returns the link in a row of `links`."""
    return Link(
        row.purpose,
        row.id,
        row.email,
        row.workspace_id,
        row.role,
        row.person_id or "",
        row.inviter_email,
        row.expire_time,
    )
