"""People within a transaction of whoever changes them."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, delete, or_, select, update

from console.people import fields
from console.people.database import Found, Transaction
from console.people.errors import EmailTaken, IdentityTaken, NotFound
from console.people.records import Identity, LinkPurpose, Origin, Person
from console.people.tables import identities, links, people, sessions

PERSON: Final = (
    people.c.id.label("person_id"),
    people.c.email.label("person_email"),
    people.c.name.label("person_name"),
    people.c.administrator,
    people.c.time_zone,
    people.c.create_time.label("person_create_time"),
    people.c.password.is_not(None).label("has_password"),
    people.c.disabled,
)
"""The columns that `person_of` makes a person of, in a query of more than people too."""


def person_of(row: Found) -> Person:
    """The person of a row with the columns `PERSON`."""
    return Person(
        id=row.person_id,
        email=row.person_email,
        name=row.person_name,
        administrator=row.administrator,
        time_zone=row.time_zone,
        create_time=row.person_create_time,
        has_password=row.has_password,
        disabled=row.disabled,
    )


async def has_administrator(tx: Transaction) -> bool:
    """Whether there is one."""
    return await tx.one(select(people.c.id).where(people.c.administrator).limit(1)) is not None


async def the_person(tx: Transaction, person_id: str) -> Person:
    """The person with that id. Raises `NotFound`."""
    return await _the(tx, select(*PERSON).where(people.c.id == person_id))


async def locked_person(tx: Transaction, person_id: str) -> Person:
    """The person, who doesn't change until the transaction is over. Raises `NotFound`."""
    return await _the(tx, select(*PERSON).where(people.c.id == person_id).with_for_update())


async def _the(tx: Transaction, query: Select[Any]) -> Person:
    row = await tx.one(query)
    if row is None:
        raise no_person()
    return person_of(row)


async def add_person(tx: Transaction, person: Person, kept: str | None) -> None:
    """Makes an account with the password *kept*. Raises `EmailTaken`."""
    added = tx.insert(people).values(
        id=person.id,
        email=person.email,
        email_key=fields.email_key(person.email),
        name=person.name,
        administrator=person.administrator,
        disabled=person.disabled,
        time_zone=person.time_zone,
        password=kept,
        create_time=person.create_time,
    )
    if await tx.one(added.on_conflict_do_nothing().returning(people.c.id)) is None:
        raise EmailTaken


async def add_identity(tx: Transaction, person_id: str, identity: Identity) -> bool:
    """Whether it is new to the person. Raises `IdentityTaken` if it is another's."""
    added = tx.insert(identities).values(
        issuer=identity.issuer,
        subject=identity.subject,
        person_id=person_id,
        create_time=tx.now,
    )
    if await tx.one(added.on_conflict_do_nothing().returning(identities.c.issuer)) is not None:
        return True
    row = await tx.one(select(identities.c.person_id).where(is_identity(identity)))
    if row is None or row.person_id != person_id:
        raise IdentityTaken
    return False


async def locked_pair(tx: Transaction, by: Origin, person_id: str) -> tuple[Person | None, Person]:
    """Who does it (None: an operator, at the machine) and the person it is done to, both locked.

    Raises `NotFound`.
    """
    # Always in the same order: of two who do it to each other, one comes second.
    query = select(*PERSON).where(people.c.id.in_([by.person_id, person_id]))
    rows = await tx.all(query.order_by(people.c.id).with_for_update())
    both = {row.person_id: person_of(row) for row in rows}
    if person_id not in both:
        raise no_person()
    return both.get(by.person_id), both[person_id]


async def shut_out(tx: Transaction, person_id: str) -> None:
    """Ends what lets the person in: sessions, links for a new password, and invitations they made.

    They might have invited another address of their own.
    """
    theirs = or_(links.c.person_id == person_id, links.c.invited_by == person_id)
    await tx.count(delete(sessions).where(sessions.c.person_id == person_id))
    await tx.count(delete(links).where(theirs))


async def withdraw_recoveries(tx: Transaction, maker_id: str) -> None:
    """Ends the links for new passwords, of whomever, that one administrator made."""
    theirs = (links.c.purpose == LinkPurpose.RECOVERY, links.c.invited_by == maker_id)
    await tx.count(delete(links).where(*theirs))


async def replace_password(
    tx: Transaction, person_id: str, kept: str | None, keep_session_id: str = ""
) -> None:
    """What the old password opened is shut: other sessions, and a link to recover it.

    None: there is no password any more.
    """
    changed = update(people).where(people.c.id == person_id).values(password=kept)
    if await tx.count(changed) == 0:
        raise no_person()
    others = (sessions.c.person_id == person_id, sessions.c.id != keep_session_id)
    await tx.count(delete(sessions).where(*others))
    await tx.count(delete(links).where(links.c.person_id == person_id))


def is_identity(identity: Identity) -> ColumnElement[bool]:
    """That a row of `identities` is that one."""
    return (identities.c.issuer == identity.issuer) & (identities.c.subject == identity.subject)


async def is_administrator(tx: Transaction, person_id: str) -> bool:
    """Whether the person is one who can act as such, until the transaction is over."""
    query = select(people.c.id).where(
        people.c.id == person_id, people.c.administrator, people.c.disabled.is_(False)
    )
    return await tx.one(query.with_for_update(read=True)) is not None


def no_administrator() -> NotFound:
    """What is said to who was let through a moment before their right went."""
    return NotFound("You are no administrator any more.")


def no_person() -> NotFound:
    """What is said of an id that nobody has."""
    return NotFound("There is no such person.")
