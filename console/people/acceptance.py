"""What one-time links are good for: each is used up in the transaction that does it."""

from __future__ import annotations

from collections.abc import Iterable

from console.people import fields
from console.people.database import Database, Transaction
from console.people.errors import LinkForAnother, LinkInvalid
from console.people.links import Links, take
from console.people.memberships import add_member
from console.people.passwords import Passwords
from console.people.persons import (
    add_identity,
    add_person,
    has_administrator,
    locked_person,
    replace_password,
    the_person,
)
from console.people.records import (
    Credential,
    Identity,
    Link,
    LinkPurpose,
    Origin,
    Password,
    Person,
    Role,
)
from console.people.tokens import new_id


class AcceptedLinks(Links):
    """Links, and what happens to who follows one. What is refused leaves the link as it was."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        super().__init__(database)
        self._passwords = passwords

    async def accept_setup(
        self,
        token: str,
        email: str,
        name: str,
        credential: Credential,
        workspace_ids: Iterable[str],
        source: str,
    ) -> Person:
        """Makes the first administrator, who owns the workspaces *workspace_ids*.

        Raises `LinkInvalid`, `FieldInvalid`, `EmailTaken`, `IdentityTaken`.
        """
        await self._found(token, LinkPurpose.SETUP)
        email, name = fields.email(email), fields.name(name)
        kept = await self._kept(credential, email, name)
        async with self._database.changing() as tx:
            _ = await take(tx, token, LinkPurpose.SETUP)
            if await has_administrator(tx):
                raise LinkInvalid
            person = _new_person(tx, email, name, kept, administrator=True)
            by = await _enter(tx, person, kept, credential, source)
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
        """Makes a new person a member, or the one with *person_id*, whom the invitation is for.

        Raises `LinkInvalid`, `LinkForAnother`, `FieldInvalid`, `EmailTaken`, `IdentityTaken`,
        `AlreadyMember`, `NotFound`.
        """
        link = await self._found(token, LinkPurpose.INVITATION)
        if person_id is not None:
            return await self._join(token, person_id, source)
        if credential is None:
            raise ValueError("a new person needs something to sign in with")
        name = fields.name(name)
        kept = await self._kept(credential, link.email, name)
        async with self._database.changing() as tx:
            link = await take(tx, token, LinkPurpose.INVITATION)
            person = _new_person(tx, link.email, name, kept, administrator=False)
            by = await _enter(tx, person, kept, credential, source)
            await add_member(tx, by, link.workspace_id, person.id, link.role or Role.VIEWER)
        return person

    async def accept_recovery(self, token: str, password: str, source: str) -> Person:
        """Sets a new password and ends all of the person's sessions.

        Raises `LinkInvalid`, `WeakPassword`.
        """
        link = await self._found(token, LinkPurpose.RECOVERY)
        async with self._database.reading() as tx:
            person = await the_person(tx, link.person_id)
        kept = await self._passwords.accept(password, person.email, person.name)
        async with self._database.changing() as tx:
            # People are locked before links, everywhere.
            _ = await locked_person(tx, person.id)
            _ = await take(tx, token, LinkPurpose.RECOVERY)
            await replace_password(tx, person.id, kept)
            await tx.record(_origin(person, source), "password.recover", person.id)
            return await the_person(tx, person.id)

    async def _join(self, token: str, person_id: str, source: str) -> Person:
        async with self._database.changing() as tx:
            person = await locked_person(tx, person_id)
            link = await take(tx, token, LinkPurpose.INVITATION)
            if fields.email_key(person.email) != fields.email_key(link.email):
                raise LinkForAnother
            by = _origin(person, source)
            await add_member(tx, by, link.workspace_id, person.id, link.role or Role.VIEWER)
        return person

    async def _found(self, token: str, purpose: LinkPurpose) -> Link:
        # Looked at first: nobody has a password hashed without a link that is good.
        link = await self.find(token)
        if link is None or link.purpose is not purpose:
            raise LinkInvalid
        return link

    async def _kept(self, credential: Credential, email: str, name: str) -> str | None:
        if isinstance(credential, Identity):
            return None
        return await self._passwords.accept(credential.text, email, name)


def _new_person(
    tx: Transaction, email: str, name: str, kept: str | None, *, administrator: bool
) -> Person:
    has_password = kept is not None
    return Person(new_id("person"), email, name, administrator, "", tx.now, has_password)


async def _enter(
    tx: Transaction, person: Person, kept: str | None, credential: Credential, source: str
) -> Origin:
    """Makes the account; gives whom it is that does the rest."""
    await add_person(tx, person, kept)
    if isinstance(credential, Identity):
        await add_identity(tx, person.id, credential)
    by = _origin(person, source)
    method = "password" if isinstance(credential, Password) else "oidc"
    await tx.record(by, "person.create", person.id, method=method)
    return by


def _origin(person: Person, source: str) -> Origin:
    return Origin(person.id, person.email, source)
