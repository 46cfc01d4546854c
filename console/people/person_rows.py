"""People and their memberships, as several kinds of transactions need them."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, delete, select, update

from console.people.database import AnyRow, Transaction
from console.people.errors import AlreadyMember, EmailTaken, IdentityTaken, NotFound
from console.people.fields import email_key
from console.people.records import Identity, Origin, Person, Role, new_id
from console.people.tables import identities, links, memberships, people, sessions

# For callers who lost their right after the page let them through.
NO_OWNER: Final = "You are no owner of this workspace any more."

_NO_PERSON: Final = "There is no such person."

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
"""The columns that `person_of` reads, named so that other tables may be joined."""


def person_of(row: AnyRow) -> Person:
    """Returns the person in a row with the columns `PERSON`."""
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


async def load_person(tx: Transaction, person_id: str) -> Person:
    """Returns the person with that id. Raises `NotFound`."""
    return await _load(tx, select(*PERSON).where(people.c.id == person_id))


async def lock_person(tx: Transaction, person_id: str) -> Person:
    """Returns the person, locked until the transaction ends. Raises `NotFound`."""
    return await _load(tx, select(*PERSON).where(people.c.id == person_id).with_for_update())


async def _load(tx: Transaction, query: Select[Any]) -> Person:
    row = await tx.first(query)
    if row is None:
        raise NotFound(_NO_PERSON)
    return person_of(row)


def is_identity(identity: Identity) -> ColumnElement[bool]:
    """Returns the condition that a row of `identities` is *identity*."""
    return (identities.c.issuer == identity.issuer) & (identities.c.subject == identity.subject)


async def add_person(
    tx: Transaction,
    email: str,
    name: str,
    login: str | Identity,
    source: str,
    *,
    administrator: bool = False,
) -> tuple[Person, Origin]:
    """Adds a person who signs in by *login*: the hash of a password, or an identity.

    Returns the person, and the origin of what they do next. Raises `EmailTaken`, `IdentityTaken`.
    """
    has_password = isinstance(login, str)
    person = Person(new_id("person"), email, name, administrator, "", tx.now, has_password)
    added = await tx.add(
        people,
        id=person.id,
        email=email,
        email_key=email_key(email),
        name=name,
        administrator=administrator,
        disabled=person.disabled,
        time_zone=person.time_zone,
        password=login if has_password else None,
        create_time=tx.now,
    )
    if not added:
        raise EmailTaken
    if isinstance(login, Identity):
        await add_identity(tx, person.id, login)
    by = Origin(person.id, email, source)
    await tx.record(by, "person.create", person.id, method="password" if has_password else "oidc")
    return person, by


async def add_identity(tx: Transaction, person_id: str, identity: Identity) -> bool:
    """Returns whether *identity* is new to the person. Raises `IdentityTaken` if it is another's."""
    row = {"issuer": identity.issuer, "subject": identity.subject, "person_id": person_id}
    if await tx.add(identities, **row, create_time=tx.now):
        return True
    owner = await tx.first(select(identities.c.person_id).where(is_identity(identity)))
    if owner is None or owner.person_id != person_id:
        raise IdentityTaken
    return False


async def replace_password(
    tx: Transaction, person_id: str, password_hash: str | None, keep_session_id: str = ""
) -> None:
    """Sets the password or, by None, removes it; ends other sessions and the recovery link."""
    changed = update(people).where(people.c.id == person_id).values(password=password_hash)
    if await tx.execute(changed) == 0:
        raise NotFound(_NO_PERSON)
    others = (sessions.c.person_id == person_id, sessions.c.id != keep_session_id)
    await tx.execute(delete(sessions).where(*others))
    await tx.execute(delete(links).where(links.c.person_id == person_id))


async def has_administrator(tx: Transaction) -> bool:
    """Returns whether any person is an administrator."""
    return await tx.first(select(people.c.id).where(people.c.administrator).limit(1)) is not None


async def lock_administrators(tx: Transaction, by: Origin) -> set[str]:
    """Returns the ids of all enabled administrators. Raises `NotFound` unless *by* is one.

    Every transaction locks administrators first, and in the same order: if two dismiss each other at
    once, the second one finds that they are no administrator any more.
    """
    enabled = select(people.c.id).where(people.c.administrator, people.c.disabled.is_(False))
    rows = await tx.all(enabled.order_by(people.c.id).with_for_update())
    administrator_ids = {row.id for row in rows}
    if by.person_id and by.person_id not in administrator_ids:
        raise NotFound("You are no administrator any more.")
    return administrator_ids


def is_member(workspace_id: str, person_id: str) -> ColumnElement[bool]:
    """Returns the condition that a row of `memberships` is the person's in the workspace."""
    return (memberships.c.workspace_id == workspace_id) & (memberships.c.person_id == person_id)


async def check_owner(tx: Transaction, by: Origin, workspace_id: str) -> None:
    """Raises `NotFound` unless *by* is an operator, or an owner, whose role is then locked."""
    if not by.person_id:
        return
    query = select(memberships.c.role).where(is_member(workspace_id, by.person_id))
    row = await tx.first(query.with_for_update())
    if row is None or row.role is not Role.OWNER:
        raise NotFound(NO_OWNER)


async def add_member(
    tx: Transaction, by: Origin, workspace_id: str, person_id: str, role: Role
) -> None:
    """Makes an existing person a member. Raises `AlreadyMember`."""
    membership = {"workspace_id": workspace_id, "person_id": person_id, "role": role}
    if not await tx.add(memberships, **membership, since=tx.now):
        raise AlreadyMember
    # An invitation that is still open would bring the person back after their removal.
    email = await tx.first(select(people.c.email).where(people.c.id == person_id))
    if email is not None:
        slot = invitation_slot(workspace_id, email[0])
        await tx.execute(delete(links).where(links.c.slot == slot))
    await tx.record(by, "member.add", person_id, workspace_id, role=role.value)


def invitation_slot(workspace_id: str, email: str) -> str:
    """Returns the slot of the only invitation of this address to the workspace."""
    return f"invitation {workspace_id} {email_key(email)}"
