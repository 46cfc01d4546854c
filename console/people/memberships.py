"""Who is in which workspace, as what."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, ColumnElement, delete, func, select, update

from console.people.database import Database, Transaction
from console.people.errors import AlreadyMember, LastOwner, NotFound
from console.people.fields import email_key
from console.people.persons import (
    PERSON,
    is_administrator,
    locked_person,
    no_administrator,
    person_of,
)
from console.people.records import Member, Membership, Origin, Role
from console.people.tables import links, memberships, people


class Memberships:
    """A workspace that has an owner always keeps one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_person(self, person_id: str) -> list[Membership]:
        """The person's workspaces, the earliest first."""
        columns = (memberships.c.workspace_id, memberships.c.role, memberships.c.since)
        query = select(*columns).where(memberships.c.person_id == person_id)
        in_order = query.order_by(memberships.c.since, memberships.c.workspace_id)
        async with self._database.reading() as tx:
            return [
                Membership(workspace_id=row.workspace_id, role=row.role, since=row.since)
                for row in await tx.all(in_order)
            ]

    async def role(self, workspace_id: str, person_id: str) -> Role | None:
        """What the person is in the workspace; None for who isn't in it."""
        query = select(memberships.c.role).where(*_is(workspace_id, person_id))
        async with self._database.reading() as tx:
            row = await tx.one(query)
        return row.role if row else None

    async def of_workspace(self, workspace_id: str) -> list[Member]:
        """The workspace's people, the earliest first."""
        query = (
            select(*PERSON, memberships.c.role, memberships.c.since)
            .join_from(memberships, people)
            .where(memberships.c.workspace_id == workspace_id)
            .order_by(memberships.c.since, people.c.id)
        )
        async with self._database.reading() as tx:
            rows = await tx.all(query)
        return [Member(person_of(row), row.role, row.since) for row in rows]

    async def counts(self, workspace_ids: Iterable[str]) -> dict[str, int]:
        """How many people are in each of the workspaces."""
        return await self._counted(memberships.c.workspace_id, workspace_ids)

    async def counts_of_people(self, person_ids: Iterable[str]) -> dict[str, int]:
        """In how many workspaces each of the people is."""
        return await self._counted(memberships.c.person_id, person_ids)

    async def add(self, by: Origin, workspace_id: str, person_id: str, role: Role) -> None:
        """Makes somebody a member, as an administrator may. Raises `AlreadyMember`, `NotFound`.

        That too for who is no administrator any more.
        """
        async with self._database.changing() as tx:
            _ = await locked_person(tx, person_id)
            if by.person_id and not await is_administrator(tx, by.person_id):
                raise no_administrator()
            await add_member(tx, by, workspace_id, person_id, role)

    async def set_role(self, by: Origin, workspace_id: str, person_id: str, role: Role) -> None:
        """Changes what a member may do, as an owner or an administrator may.

        Raises `LastOwner`, and `NotFound`, also for who is neither any more.
        """
        async with self._database.changing() as tx:
            was, owners = await _locked_role(tx, workspace_id, person_id)
            if not (by.person_id in {"", *owners} or await is_administrator(tx, by.person_id)):
                raise no_owner()
            if role is not Role.OWNER and owners == {person_id}:
                raise LastOwner
            if was is role:
                return
            await tx.count(
                update(memberships).where(*_is(workspace_id, person_id)).values(role=role)
            )
            await _withdraw_invitations(tx, workspace_id, person_id)
            details = {"role": role.value, "before": was.value}
            await tx.record(by, "member.role", person_id, workspace_id, **details)

    async def remove(self, by: Origin, workspace_id: str, person_id: str) -> None:
        """Ends a membership, as an owner may, and each member their own.

        Raises `LastOwner`, and `NotFound`, also for who is no owner any more.
        """
        async with self._database.changing() as tx:
            was, owners = await _locked_role(tx, workspace_id, person_id)
            if by.person_id not in {"", person_id, *owners}:
                raise no_owner()
            if owners == {person_id}:
                raise LastOwner
            await tx.count(delete(memberships).where(*_is(workspace_id, person_id)))
            await _withdraw_invitations(tx, workspace_id, person_id)
            await tx.record(by, "member.remove", person_id, workspace_id, role=was.value)

    async def _counted(self, column: Column[str], values: Iterable[str]) -> dict[str, int]:
        counts = dict.fromkeys(values, 0)
        query = select(column, func.count()).where(column.in_(counts)).group_by(column)
        async with self._database.reading() as tx:
            counts.update((value, count) for value, count in await tx.all(query))
        return counts


async def add_member(
    tx: Transaction, by: Origin, workspace_id: str, person_id: str, role: Role
) -> None:
    """Makes *person_id*, which there is, a member. Raises `AlreadyMember`."""
    added = tx.insert(memberships).values(
        workspace_id=workspace_id, person_id=person_id, role=role, since=tx.now
    )
    if await tx.one(added.on_conflict_do_nothing().returning(memberships.c.role)) is None:
        raise AlreadyMember
    # An invitation that is still open would only bring them back after they were removed.
    email = await tx.one(select(people.c.email).where(people.c.id == person_id))
    if email is not None:
        slot = invitation_slot(workspace_id, email[0])
        await tx.count(delete(links).where(links.c.slot == slot))
    await tx.record(by, "member.add", person_id, workspace_id, role=role.value)


def invitation_slot(workspace_id: str, email: str) -> str:
    """What there is one invitation for."""
    return f"invitation {workspace_id} {email_key(email)}"


async def check_owner(tx: Transaction, by: Origin, workspace_id: str) -> None:
    """Raises `NotFound` unless *by* owns the workspace, and does so until the transaction is over.

    An operator at the machine may what an owner may.
    """
    if not by.person_id:
        return
    query = select(memberships.c.role).where(*_is(workspace_id, by.person_id))
    row = await tx.one(query.with_for_update())
    if row is None or row.role is not Role.OWNER:
        raise no_owner()


def no_owner() -> NotFound:
    """What is said to who was let through a moment before their right went."""
    return NotFound("You are no owner of this workspace any more.")


async def _locked_role(tx: Transaction, workspace_id: str, person_id: str) -> tuple[Role, set[str]]:
    """The role of the member, and all owners, locked. Raises `NotFound`."""
    # All owners are locked, always in the same order: of two who leave at once, one comes second.
    owners = select(memberships.c.person_id).where(
        memberships.c.workspace_id == workspace_id, memberships.c.role == Role.OWNER
    )
    in_order = owners.order_by(memberships.c.person_id).with_for_update()
    every_owner = {row.person_id for row in await tx.all(in_order)}
    row = await tx.one(
        select(memberships.c.role).where(*_is(workspace_id, person_id)).with_for_update()
    )
    if row is None:
        raise NotFound("There is no such member.")
    return row.role, every_owner


async def _withdraw_invitations(tx: Transaction, workspace_id: str, person_id: str) -> None:
    # Who is an owner no longer must not come back as one by an invitation of their own.
    theirs = (links.c.workspace_id == workspace_id, links.c.invited_by == person_id)
    await tx.count(delete(links).where(*theirs))


def _is(workspace_id: str, person_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (memberships.c.workspace_id == workspace_id, memberships.c.person_id == person_id)
