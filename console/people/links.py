"""One-time links: made, shown once, and used up by the transaction that acts on them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select

from console.people.database import Database
from console.people.errors import AlreadyMember, LinkForAnother, LinkInvalid, NotFound
from console.people.fields import email_key, parse_email, parse_name
from console.people.link_rows import link_of, put, take
from console.people.passwords import Passwords
from console.people.person_rows import (
    add_member,
    add_person,
    check_owner,
    has_administrator,
    invitation_slot,
    load_person,
    lock_administrators,
    lock_person,
    replace_password,
)
from console.people.records import (
    Credential,
    Identity,
    Link,
    LinkPurpose,
    Origin,
    Person,
    Role,
    digest,
)
from console.people.tables import links, memberships, people
from keyauthority.client import Secret


class Links:
    """The links. Each has a slot, in which a new link replaces the one before.

    A refused call leaves the link as it was. Who makes a link needs the right to do so until it is
    used: without the right, the call raises `NotFound`; when the right goes, the link ends.
    """

    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def new_setup(self) -> Secret:
        """Returns the token of the first administrator's link. Raises `LinkInvalid`."""
        async with self._database.changing() as tx:
            if await has_administrator(tx):
                raise LinkInvalid
            _, token = await put(tx, LinkPurpose.SETUP, "setup", Origin("", "", ""))
        return token

    async def invite(
        self, by: Origin, workspace_id: str, email: str, role: Role
    ) -> tuple[Link, Secret]:
        """Returns an invitation and its token. Raises `FieldInvalid`, `AlreadyMember`."""
        email = parse_email(email)
        async with self._database.changing() as tx:
            await check_owner(tx, by, workspace_id)
            member = select(people.c.id).join_from(people, memberships)
            member = member.where(memberships.c.workspace_id == workspace_id)
            if await tx.first(member.where(people.c.email_key == email_key(email))):
                raise AlreadyMember
            slot = invitation_slot(workspace_id, email)
            purpose = LinkPurpose.INVITATION
            link, token = await put(
                tx, purpose, slot, by, email=email, workspace_id=workspace_id, role=role
            )
            details = {"email": email, "role": role.value}
            await tx.record(by, "invitation.create", link.id, workspace_id, **details)
        return link, token

    async def new_recovery(self, by: Origin, person_id: str) -> Secret:
        """Returns the token of a link for a new password. Raises `NotFound` if disabled."""
        async with self._database.changing() as tx:
            await lock_administrators(tx, by)
            person = await lock_person(tx, person_id)
            if person.disabled:
                raise NotFound("This person is disabled.")
            purpose, slot = LinkPurpose.RECOVERY, f"recovery {person_id}"
            _, token = await put(tx, purpose, slot, by, email=person.email, person_id=person_id)
            await tx.record(by, "recovery.create", person_id)
        return token

    async def find(self, token: str) -> Link | None:
        """Returns the link if it is valid, without using it up."""
        query = select(links).where(links.c.digest == digest(token))
        async with self._database.reading() as tx:
            row = await tx.first(query.where(links.c.expire_time > tx.now))
            if row is None:
                return None
            if row.purpose is LinkPurpose.SETUP and await has_administrator(tx):
                return None
        return link_of(row)

    async def of_workspace(self, workspace_id: str) -> list[Link]:
        """Returns the open invitations to the workspace, newest first."""
        query = select(links).where(links.c.workspace_id == workspace_id)
        ordered = query.order_by(links.c.create_time.desc(), links.c.id)
        async with self._database.reading() as tx:
            rows = await tx.all(ordered.where(links.c.expire_time > tx.now))
        return [link_of(row) for row in rows]

    async def withdraw(self, by: Origin, workspace_id: str, invitation_id: str) -> None:
        """Withdraws an invitation. Raises `NotFound`."""
        invitation = (links.c.workspace_id == workspace_id) & (links.c.id == invitation_id)
        async with self._database.changing() as tx:
            await check_owner(tx, by, workspace_id)
            row = await tx.first(delete(links).where(invitation).returning(links.c.email))
            if row is None:
                raise NotFound("There is no such invitation.")
            await tx.record(by, "invitation.withdraw", invitation_id, workspace_id, email=row.email)

    async def accept_setup(
        self,
        token: str,
        email: str,
        name: str,
        credential: Credential,
        workspace_ids: Iterable[str],
        source: str,
    ) -> Person:
        """Adds the first administrator, as owner of the workspaces *workspace_ids*.

        Raises `LinkInvalid`, `FieldInvalid`, `EmailTaken`, `IdentityTaken`.
        """
        await self._check(token, LinkPurpose.SETUP)
        email, name = parse_email(email), parse_name(name)
        login = await self._login(credential, email, name)
        async with self._database.changing() as tx:
            await take(tx, token, LinkPurpose.SETUP)
            if await has_administrator(tx):
                raise LinkInvalid
            person, by = await add_person(tx, email, name, login, source, administrator=True)
            for workspace_id in dict.fromkeys(workspace_ids):
                await add_member(tx, by, workspace_id, person.id, Role.OWNER)
        return person

    async def accept_invitation(
        self,
        token: str,
        name: str,
        credential: Credential | None,
        source: str,
        person_id: str | None = None,
    ) -> Person:
        """Makes a new person a member, or the invited person with the id *person_id*.

        Raises `LinkInvalid`, `LinkForAnother`, `FieldInvalid`, `EmailTaken`, `IdentityTaken`,
        `AlreadyMember`, `NotFound`.
        """
        link = await self._check(token, LinkPurpose.INVITATION)
        if person_id is not None:
            return await self._join(token, person_id, source)
        if credential is None:
            raise ValueError("a new person needs a credential")
        name = parse_name(name)
        login = await self._login(credential, link.email, name)
        async with self._database.changing() as tx:
            link = await take(tx, token, LinkPurpose.INVITATION)
            person, by = await add_person(tx, link.email, name, login, source)
            await add_member(tx, by, link.workspace_id, person.id, link.role or Role.VIEWER)
        return person

    async def accept_recovery(self, token: str, password: str, source: str) -> Person:
        """Sets a new password, and ends all sessions. Raises `LinkInvalid`, `WeakPassword`."""
        link = await self._check(token, LinkPurpose.RECOVERY)
        async with self._database.reading() as tx:
            person = await load_person(tx, link.person_id)
        password_hash = await self._passwords.accept(password, person.email, person.name)
        async with self._database.changing() as tx:
            # Every transaction locks people before links.
            await lock_person(tx, person.id)
            await take(tx, token, LinkPurpose.RECOVERY)
            await replace_password(tx, person.id, password_hash)
            by = Origin(person.id, person.email, source)
            await tx.record(by, "password.recover", person.id)
            return await load_person(tx, person.id)

    async def _join(self, token: str, person_id: str, source: str) -> Person:
        async with self._database.changing() as tx:
            person = await lock_person(tx, person_id)
            link = await take(tx, token, LinkPurpose.INVITATION)
            if email_key(person.email) != email_key(link.email):
                raise LinkForAnother
            by = Origin(person.id, person.email, source)
            await add_member(tx, by, link.workspace_id, person.id, link.role or Role.VIEWER)
        return person

    async def _check(self, token: str, purpose: LinkPurpose) -> Link:
        # Comes first: only who has a valid link gets a password hashed.
        link = await self.find(token)
        if link is None or link.purpose is not purpose:
            raise LinkInvalid
        return link

    async def _login(self, credential: Credential, email: str, name: str) -> str | Identity:
        if isinstance(credential, Identity):
            return credential
        return await self._passwords.accept(credential.text, email, name)
