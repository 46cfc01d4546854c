"""The people who may sign in."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, select, tuple_, update

from console.people import fields
from console.people.database import Database, Transaction
from console.people.errors import AnotherIdentity, LastAdministrator, OwnAccount
from console.people.passwords import Passwords
from console.people.persons import (
    PERSON,
    add_identity,
    has_administrator,
    is_identity,
    locked_person,
    no_administrator,
    no_person,
    person_of,
    replace_password,
    shut_out,
    the_person,
    withdraw_recoveries,
)
from console.people.records import Identity, Origin, Person
from console.people.tables import identities, people


class Accounts:
    """Who there is, and what they sign in with."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def get(self, person_id: str) -> Person | None:
        """The person with that id."""
        return await self._find(people.c.id == person_id)

    async def get_all(self, person_ids: Collection[str]) -> list[Person]:
        """The people with these ids."""
        query = select(*PERSON).where(people.c.id.in_(person_ids))
        async with self._database.reading() as tx:
            return [person_of(row) for row in await tx.all(query)]

    async def by_email(self, email: str) -> Person | None:
        """The person with that address, in whatever case."""
        return await self._find(people.c.email_key == fields.email_key(email))

    async def by_identity(self, issuer: str, subject: str) -> Person | None:
        """The person who signs in with that account of an OpenID provider."""
        query = (
            select(*PERSON)
            .join_from(people, identities)
            .where(is_identity(Identity(issuer, subject)))
        )
        async with self._database.reading() as tx:
            row = await tx.one(query)
        return person_of(row) if row else None

    async def page(self, limit: int, after_id: str | None = None) -> list[Person]:
        """Up to *limit* people, newest first, after the one with the id *after_id*."""
        query = select(*PERSON).order_by(people.c.create_time.desc(), people.c.id.desc())
        if after_id is not None:
            last = select(people.c.create_time, people.c.id).where(people.c.id == after_id)
            query = query.where(tuple_(people.c.create_time, people.c.id) < last.scalar_subquery())
        async with self._database.reading() as tx:
            return [person_of(row) for row in await tx.all(query.limit(limit))]

    async def any_administrator(self) -> bool:
        """Whether there is one: before, the set-up link is the way in."""
        async with self._database.reading() as tx:
            return await has_administrator(tx)

    async def check_password(self, email: str, password: str) -> Person | None:
        """The person with that address and password, unless disabled.

        An unknown address takes the same work.
        """
        query = select(*PERSON, people.c.password).where(
            people.c.email_key == fields.email_key(email)
        )
        async with self._database.reading() as tx:
            row = await tx.one(query)
        kept = row.password if row else None
        if not await self._passwords.verify(kept, password) or row is None or kept is None:
            return None
        if row.disabled:
            return None
        if self._passwords.is_outdated(kept):
            await self._renew(kept, row.person_id, password)
        return person_of(row)

    async def set_password(
        self, by: Origin, person_id: str, password: str, keep_session_id: str = ""
    ) -> None:
        """Changes the password, and ends all sessions of the person but *keep_session_id*.

        Raises `WeakPassword`, `NotFound`.
        """
        person = await self.get(person_id)
        if person is None:
            raise no_person()
        kept = await self._passwords.accept(password, person.email, person.name)
        async with self._database.changing() as tx:
            await replace_password(tx, person_id, kept, keep_session_id)
            await tx.record(by, "password.change", person_id)

    async def update(
        self,
        by: Origin,
        person_id: str,
        *,
        name: str | None = None,
        time_zone: str | None = None,
    ) -> Person:
        """Changes what is given. Raises `FieldInvalid`, `NotFound`."""
        values: dict[str, str] = {}
        if name is not None:
            values["name"] = fields.name(name)
        if time_zone is not None:
            values["time_zone"] = fields.time_zone(time_zone)
        async with self._database.changing() as tx:
            person = await locked_person(tx, person_id)
            changed = {key: new for key, new in values.items() if getattr(person, key) != new}
            if changed:
                await tx.count(update(people).where(people.c.id == person_id).values(changed))
                await tx.record(by, "person.update", person_id, **changed)
                person = await the_person(tx, person_id)
            return person

    async def set_administrator(self, by: Origin, person_id: str, value: bool) -> None:
        """Raises `LastAdministrator`, `NotFound`; that too for who is no administrator any more."""
        async with self._database.changing() as tx:
            administrators = await _locked_administrators(tx, by)
            person = await locked_person(tx, person_id)
            if person.administrator == value:
                return
            if administrators == {person_id}:
                raise LastAdministrator
            changed = update(people).where(people.c.id == person_id).values(administrator=value)
            await tx.count(changed)
            if not value:
                # With a link of theirs they would become whomever they made it for.
                await withdraw_recoveries(tx, person_id)
            await tx.record(by, "person.administrator", person_id, administrator=_yes(value))

    async def set_disabled(self, by: Origin, person_id: str, value: bool) -> None:
        """Has the person sign in no more, and be signed in nowhere; or lets them again.

        Raises `OwnAccount`, `LastAdministrator`, `NotFound`; that too for who is no administrator
        any more.
        """
        if by.person_id == person_id:
            raise OwnAccount
        async with self._database.changing() as tx:
            administrators = await _locked_administrators(tx, by)
            person = await locked_person(tx, person_id)
            if person.disabled == value:
                return
            if administrators == {person_id}:
                raise LastAdministrator
            changed = update(people).where(people.c.id == person_id).values(disabled=value)
            await tx.count(changed)
            if value:
                await shut_out(tx, person_id)
            await tx.record(by, "person.disable" if value else "person.enable", person_id)

    async def link_identity(self, by: Origin, person_id: str, issuer: str, subject: str) -> None:
        """Lets the person, whose address the provider vouches for, sign in with that account.

        Their password goes, and their sessions with it: whoever set it may only have had the link
        of an invitation to that address, and the provider's word is the better proof.

        Raises `IdentityTaken`, `AnotherIdentity`, `NotFound`.
        """
        others = select(identities.c.subject).where(
            identities.c.person_id == person_id,
            identities.c.issuer == issuer,
            identities.c.subject != subject,
        )
        async with self._database.changing() as tx:
            person = await locked_person(tx, person_id)
            # An address that was given to somebody else there doesn't bring the account along.
            if await tx.one(others.limit(1)) is not None:
                raise AnotherIdentity
            if not await add_identity(tx, person_id, Identity(issuer, subject)):
                return
            if person.has_password:
                await replace_password(tx, person_id, None)
                await tx.record(by, "password.remove", person_id, issuer=issuer)
            await tx.record(by, "identity.link", person_id, issuer=issuer)

    async def _find(self, condition: ColumnElement[bool]) -> Person | None:
        async with self._database.reading() as tx:
            row = await tx.one(select(*PERSON).where(condition))
        return person_of(row) if row else None

    async def _renew(self, kept: str, person_id: str, password: str) -> None:
        fresh = await self._passwords.hash(password)
        # Unless it was changed meanwhile.
        same = (people.c.id == person_id, people.c.password == kept)
        async with self._database.changing() as tx:
            await tx.count(update(people).where(*same).values(password=fresh))


async def _locked_administrators(tx: Transaction, by: Origin) -> set[str]:
    # Those who can act as such, *by* among them. Of two who dismiss each other at once, one comes
    # second, and is none any more.
    acting = select(people.c.id).where(people.c.administrator, people.c.disabled.is_(False))
    in_order = acting.order_by(people.c.id).with_for_update()
    administrators = {row.id for row in await tx.all(in_order)}
    if by.person_id and by.person_id not in administrators:
        raise no_administrator()
    return administrators


def _yes(value: bool) -> str:
    return "yes" if value else "no"
