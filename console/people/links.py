"""One-time links: made, shown once, found and withdrawn."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Select, delete, select

from console.people import fields
from console.people.database import Database, Found, Transaction
from console.people.errors import AlreadyMember, LinkInvalid, NotFound
from console.people.memberships import check_owner, invitation_slot
from console.people.persons import has_administrator, locked_pair, no_administrator
from console.people.records import Invitation, Link, LinkPurpose, Origin, Role
from console.people.tables import links, memberships, people
from console.people.tokens import digest, new_id, new_token
from keyauthority.client import Secret

LIFETIMES: Final = {
    LinkPurpose.SETUP: timedelta(hours=24),
    LinkPurpose.INVITATION: timedelta(days=7),
    LinkPurpose.RECOVERY: timedelta(hours=1),
}

_INVITATION: Final = (
    links.c.id,
    links.c.workspace_id,
    links.c.email,
    links.c.role,
    links.c.invited_by,
    links.c.inviter_email,
    links.c.create_time,
    links.c.expire_time,
)
"""What an `Invitation` holds, in its order."""


class Links:
    """There is one link for each purpose: a new one takes the place of the one before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def new_setup(self) -> Secret:
        """A link that makes the first administrator. Raises `LinkInvalid` if there is one."""
        async with self._database.changing() as tx:
            if await has_administrator(tx):
                raise LinkInvalid
            _, token = await _put(tx, LinkPurpose.SETUP, "setup")
        return token

    async def invite(
        self, by: Origin, workspace_id: str, email: str, role: Role
    ) -> tuple[Invitation, Secret]:
        """A link that makes whoever has *email* a member.

        It is good for as long as who made it is an owner. Raises `FieldInvalid`, `AlreadyMember`, and
        `NotFound` for who is no owner any more.
        """
        email = fields.email(email)
        async with self._database.changing() as tx:
            await check_owner(tx, by, workspace_id)
            if await _is_member(tx, workspace_id, email):
                raise AlreadyMember
            row, token = await _put(
                tx,
                LinkPurpose.INVITATION,
                invitation_slot(workspace_id, email),
                email=email,
                workspace_id=workspace_id,
                role=role,
                invited_by=by.person_id,
                inviter_email=by.email,
            )
            details = {"email": email, "role": role.value}
            await tx.record(by, "invitation.create", row.id, workspace_id, **details)
        return _invitation_of(row), token

    async def new_recovery(self, by: Origin, person_id: str) -> Secret:
        """A link that sets a new password. Raises `NotFound`, for who is disabled too.

        It is good for as long as who made it is an administrator.
        """
        async with self._database.changing() as tx:
            maker, person = await locked_pair(tx, by, person_id)
            if by.person_id and (maker is None or maker.disabled or not maker.administrator):
                raise no_administrator()
            if person.disabled:
                raise NotFound("This person is disabled.")
            _, token = await _put(
                tx,
                LinkPurpose.RECOVERY,
                f"recovery {person_id}",
                email=person.email,
                person_id=person_id,
                invited_by=by.person_id,
                inviter_email=by.email,
            )
            await tx.record(by, "recovery.create", person_id)
        return token

    async def find(self, token: str) -> Link | None:
        """The link, if it is still good; it is not used up by being looked at."""
        async with self._database.reading() as tx:
            row = await tx.one(good(tx, select(links).where(links.c.digest == digest(token))))
            if row is None:
                return None
            if row.purpose is LinkPurpose.SETUP and await has_administrator(tx):
                return None
        return link_of(row)

    async def of_workspace(self, workspace_id: str) -> list[Invitation]:
        """The invitations that may still be accepted, newest first."""
        query = select(*_INVITATION).where(links.c.workspace_id == workspace_id)
        in_order = query.order_by(links.c.create_time.desc(), links.c.id)
        async with self._database.reading() as tx:
            return [_invitation_of(row) for row in await tx.all(good(tx, in_order))]

    async def withdraw(self, by: Origin, workspace_id: str, invitation_id: str) -> None:
        """Raises `NotFound`; that too for who is no owner any more."""
        which = (links.c.workspace_id == workspace_id, links.c.id == invitation_id)
        async with self._database.changing() as tx:
            await check_owner(tx, by, workspace_id)
            row = await tx.one(delete(links).where(*which).returning(links.c.email))
            if row is None:
                raise NotFound("There is no such invitation.")
            await tx.record(by, "invitation.withdraw", invitation_id, workspace_id, email=row.email)


def good(tx: Transaction, query: Select[Any]) -> Select[Any]:
    """Those of *query* that haven't expired."""
    return query.where(links.c.expire_time > tx.now)


def link_of(row: Found) -> Link:
    """The link that *row* holds."""
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


def _invitation_of(row: Found) -> Invitation:
    return Invitation(*(getattr(row, column.name) for column in _INVITATION))


async def take(tx: Transaction, token: str, purpose: LinkPurpose) -> Link:
    """Uses the link up: of two who do so at once, one gets it. Raises `LinkInvalid`."""
    which = (links.c.digest == digest(token), links.c.purpose == purpose)
    taken = delete(links).where(*which, links.c.expire_time > tx.now).returning(links)
    row = await tx.one(taken)
    if row is None:
        raise LinkInvalid
    return link_of(row)


async def _put(
    tx: Transaction, purpose: LinkPurpose, slot: str, **values: Any
) -> tuple[Found, Secret]:
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
        "invited_by": "",
        "inviter_email": "",
        "create_time": tx.now,
        "expire_time": tx.now + LIFETIMES[purpose],
        **values,
    }
    replacing = (
        tx.insert(links).values(row).on_conflict_do_update(index_elements=["slot"], set_=row)
    )
    put = await tx.one(replacing.returning(links))
    assert put is not None  # noqa: S101  # inserted or updated
    return put, token


async def _is_member(tx: Transaction, workspace_id: str, email: str) -> bool:
    query = (
        select(people.c.id)
        .join_from(people, memberships)
        .where(memberships.c.workspace_id == workspace_id)
        .where(people.c.email_key == fields.email_key(email))
    )
    return await tx.one(query) is not None
