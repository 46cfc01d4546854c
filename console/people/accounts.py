"""The people who may sign in."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, delete, or_, select, tuple_, update

from console.people.database import Database, Transaction
from console.people.errors import AnotherIdentity, LastAdministrator, OwnAccount
from console.people.fields import email_key, parse_name, parse_time_zone
from console.people.passwords import Passwords
from console.people.person_rows import (
    PERSON,
    add_identity,
    has_administrator,
    is_identity,
    load_person,
    lock_administrators,
    lock_person,
    person_of,
    replace_password,
)
from console.people.records import Identity, LinkPurpose, Origin, Person
from console.people.tables import identities, links, people, sessions


class Accounts:
    """The accounts: people, and their passwords and identities.

    Changes raise `NotFound` if the person does not exist, or if *by* has lost the right.
    """

    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def get(self, person_id: str) -> Person | None:
        """Returns the person with that id."""
        return await self._find(people.c.id == person_id)

    async def get_all(self, person_ids: Collection[str]) -> list[Person]:
        """Returns the people with these ids."""
        query = select(*PERSON).where(people.c.id.in_(person_ids))
        async with self._database.reading() as tx:
            return [person_of(row) for row in await tx.all(query)]

    async def by_email(self, email: str) -> Person | None:
        """Returns the person with that address, in whatever case."""
        return await self._find(people.c.email_key == email_key(email))

    async def by_identity(self, issuer: str, subject: str) -> Person | None:
        """Returns the person who signs in with that account of an OpenID provider."""
        owner = select(identities.c.person_id).where(is_identity(Identity(issuer, subject)))
        return await self._find(people.c.id == owner.scalar_subquery())

    async def page(self, limit: int, after_id: str | None = None) -> list[Person]:
        """Returns up to *limit* people, newest first, after the person with the id *after_id*."""
        query = select(*PERSON).order_by(people.c.create_time.desc(), people.c.id.desc())
        if after_id is not None:
            last = select(people.c.create_time, people.c.id).where(people.c.id == after_id)
            query = query.where(tuple_(people.c.create_time, people.c.id) < last.scalar_subquery())
        async with self._database.reading() as tx:
            return [person_of(row) for row in await tx.all(query.limit(limit))]

    async def any_administrator(self) -> bool:
        """Returns whether there is an administrator. Until then, people begin by the set-up link."""
        async with self._database.reading() as tx:
            return await has_administrator(tx)

    async def check_password(self, email: str, password: str) -> Person | None:
        """Returns the person with that address and password, unless disabled.

        An unknown address takes the same work.
        """
        query = select(*PERSON, people.c.password).where(people.c.email_key == email_key(email))
        async with self._database.reading() as tx:
            row = await tx.first(query)
        old_hash = row.password if row else None
        verified = await self._passwords.verify(old_hash, password)
        if not verified or row is None or old_hash is None or row.disabled:
            return None
        if self._passwords.is_outdated(old_hash):
            new_hash = await self._passwords.hash(password)
            # Unless the password was changed meanwhile.
            person = update(people).where(people.c.id == row.person_id)
            async with self._database.changing() as tx:
                await tx.execute(
                    person.where(people.c.password == old_hash).values(password=new_hash)
                )
        return person_of(row)

    async def set_password(
        self, by: Origin, person_id: str, password: str, keep_session_id: str = ""
    ) -> None:
        """Changes the password; ends all sessions but *keep_session_id*. Raises `WeakPassword`."""
        async with self._database.reading() as tx:
            person = await load_person(tx, person_id)
        password_hash = await self._passwords.accept(password, person.email, person.name)
        async with self._database.changing() as tx:
            await replace_password(tx, person_id, password_hash, keep_session_id)
            await tx.record(by, "password.change", person_id)

    async def update(
        self, by: Origin, person_id: str, *, name: str | None = None, time_zone: str | None = None
    ) -> Person:
        """Changes the name, the time zone or both. Raises `FieldInvalid`."""
        values: dict[str, str] = {}
        if name is not None:
            values["name"] = parse_name(name)
        if time_zone is not None:
            values["time_zone"] = parse_time_zone(time_zone)
        async with self._database.changing() as tx:
            person = await lock_person(tx, person_id)
            changes = {field: new for field, new in values.items() if getattr(person, field) != new}
            if changes:
                await tx.execute(update(people).where(people.c.id == person_id).values(changes))
                await tx.record(by, "person.update", person_id, **changes)
                person = await load_person(tx, person_id)
            return person

    async def set_administrator(self, by: Origin, person_id: str, value: bool) -> None:
        """Makes the person an administrator, or no longer one. Raises `LastAdministrator`."""
        async with self._database.changing() as tx:
            if not await _set(tx, by, person_id, "administrator", value):
                return
            if not value:
                # By a recovery link that they made, they could sign in as its person.
                recovery = links.c.purpose == LinkPurpose.RECOVERY
                await tx.execute(delete(links).where(recovery, links.c.invited_by == person_id))
            details = {"administrator": "yes" if value else "no"}
            await tx.record(by, "person.administrator", person_id, **details)

    async def set_disabled(self, by: Origin, person_id: str, value: bool) -> None:
        """Disables the account, which ends its sessions, or enables it.

        Raises `OwnAccount`, `LastAdministrator`.
        """
        if by.person_id == person_id:
            raise OwnAccount
        async with self._database.changing() as tx:
            if not await _set(tx, by, person_id, "disabled", value):
                return
            if value:
                await tx.execute(delete(sessions).where(sessions.c.person_id == person_id))
                # They might have invited another address of their own.
                made_or_for = or_(links.c.person_id == person_id, links.c.invited_by == person_id)
                await tx.execute(delete(links).where(made_or_for))
            await tx.record(by, "person.disable" if value else "person.enable", person_id)

    async def link_identity(self, by: Origin, person_id: str, issuer: str, subject: str) -> None:
        """Lets the person, whose address the provider has verified, sign in with that account.

        Removes their password and ends their sessions: the password may be of somebody who only had
        the link of an invitation to that address, and the provider's word is the better proof.

        Raises `IdentityTaken`, `AnotherIdentity`.
        """
        others = select(identities.c.subject).where(
            identities.c.person_id == person_id,
            identities.c.issuer == issuer,
            identities.c.subject != subject,
        )
        async with self._database.changing() as tx:
            person = await lock_person(tx, person_id)
            # If the provider gave the address to somebody else, they don't get the account with it.
            if await tx.first(others.limit(1)) is not None:
                raise AnotherIdentity
            if not await add_identity(tx, person_id, Identity(issuer, subject)):
                return
            if person.has_password:
                await replace_password(tx, person_id, None)
                await tx.record(by, "password.remove", person_id, issuer=issuer)
            await tx.record(by, "identity.link", person_id, issuer=issuer)

    async def _find(self, condition: ColumnElement[bool]) -> Person | None:
        async with self._database.reading() as tx:
            row = await tx.first(select(*PERSON).where(condition))
        return person_of(row) if row else None


async def _set(tx: Transaction, by: Origin, person_id: str, field: str, value: bool) -> bool:
    # Returns whether *value* is new.
    administrator_ids = await lock_administrators(tx, by)
    person = await lock_person(tx, person_id)
    if getattr(person, field) == value:
        return False
    if administrator_ids == {person_id}:
        raise LastAdministrator
    await tx.execute(update(people).where(people.c.id == person_id).values({field: value}))
    return True
