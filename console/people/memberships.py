"""The members of workspaces."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, delete, func, select, update

from console.people.database import Database, Transaction
from console.people.errors import LastOwner, NotFound
from console.people.person_rows import (
    NO_OWNER,
    PERSON,
    add_member,
    is_member,
    lock_administrators,
    lock_person,
    person_of,
)
from console.people.records import Member, Membership, Origin, Role
from console.people.tables import links, memberships, people


class Memberships:
    """The memberships. A workspace that has an owner always keeps one.

    Changes raise `NotFound` if the member does not exist, or if *by* has lost the right.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_person(self, person_id: str) -> list[Membership]:
        """Returns the person's memberships, the earliest first."""
        columns = (memberships.c.workspace_id, memberships.c.role, memberships.c.since)
        query = select(*columns).where(memberships.c.person_id == person_id)
        ordered = query.order_by(memberships.c.since, memberships.c.workspace_id)
        async with self._database.reading() as tx:
            return [Membership(**row._asdict()) for row in await tx.all(ordered)]

    async def role(self, workspace_id: str, person_id: str) -> Role | None:
        """Returns the person's role in the workspace; None for no member."""
        query = select(memberships.c.role).where(is_member(workspace_id, person_id))
        async with self._database.reading() as tx:
            row = await tx.first(query)
        return row.role if row else None

    async def of_workspace(self, workspace_id: str) -> list[Member]:
        """Returns the workspace's members, the earliest first."""
        query = (
            select(*PERSON, memberships.c.role, memberships.c.since)
            .join_from(memberships, people)
            .where(memberships.c.workspace_id == workspace_id)
            .order_by(memberships.c.since, people.c.id)
        )
        async with self._database.reading() as tx:
            return [Member(person_of(row), row.role, row.since) for row in await tx.all(query)]

    async def counts(self, workspace_ids: Iterable[str]) -> dict[str, int]:
        """Returns how many members each of the workspaces has."""
        return await self._count(memberships.c.workspace_id, workspace_ids)

    async def counts_of_people(self, person_ids: Iterable[str]) -> dict[str, int]:
        """Returns how many workspaces each of the people is a member of."""
        return await self._count(memberships.c.person_id, person_ids)

    async def add(self, by: Origin, workspace_id: str, person_id: str, role: Role) -> None:
        """Makes a person a member, for an administrator. Raises `AlreadyMember`."""
        async with self._database.changing() as tx:
            await lock_administrators(tx, by)
            await lock_person(tx, person_id)
            await add_member(tx, by, workspace_id, person_id, role)

    async def set_role(self, by: Origin, workspace_id: str, person_id: str, role: Role) -> None:
        """Changes a member's role, for an owner or an administrator. Raises `LastOwner`."""
        async with self._database.changing() as tx:
            before, owners = await _lock_roles(tx, workspace_id, person_id)
            if not (by.person_id in {"", *owners} or await _is_administrator(tx, by.person_id)):
                raise NotFound(NO_OWNER)
            if role is not Role.OWNER and owners == {person_id}:
                raise LastOwner
            if before is role:
                return
            member = update(memberships).where(is_member(workspace_id, person_id))
            await tx.execute(member.values(role=role))
            await _withdraw_invitations(tx, workspace_id, person_id)
            details = {"role": role.value, "before": before.value}
            await tx.record(by, "member.role", person_id, workspace_id, **details)

    async def remove(self, by: Origin, workspace_id: str, person_id: str) -> None:
        """Ends a membership, for an owner or the member. Raises `LastOwner`."""
        async with self._database.changing() as tx:
            role, owners = await _lock_roles(tx, workspace_id, person_id)
            if by.person_id not in {"", person_id, *owners}:
                raise NotFound(NO_OWNER)
            if owners == {person_id}:
                raise LastOwner
            await tx.execute(delete(memberships).where(is_member(workspace_id, person_id)))
            await _withdraw_invitations(tx, workspace_id, person_id)
            await tx.record(by, "member.remove", person_id, workspace_id, role=role.value)

    async def _count(self, column: Column[str], values: Iterable[str]) -> dict[str, int]:
        counts = dict.fromkeys(values, 0)
        query = select(column, func.count()).where(column.in_(counts)).group_by(column)
        async with self._database.reading() as tx:
            counts.update((value, count) for value, count in await tx.all(query))
        return counts


async def _lock_roles(tx: Transaction, workspace_id: str, person_id: str) -> tuple[Role, set[str]]:
    # Returns the member's role and all owners. Every transaction locks the owners in the same order:
    # if two owners leave at once, the second one sees that the first has left.
    owners = select(memberships.c.person_id).where(
        memberships.c.workspace_id == workspace_id, memberships.c.role == Role.OWNER
    )
    ordered = owners.order_by(memberships.c.person_id).with_for_update()
    owner_ids = {row.person_id for row in await tx.all(ordered)}
    member = select(memberships.c.role).where(is_member(workspace_id, person_id))
    row = await tx.first(member.with_for_update())
    if row is None:
        raise NotFound("There is no such member.")
    return row.role, owner_ids


async def _is_administrator(tx: Transaction, person_id: str) -> bool:
    query = select(people.c.id).where(
        people.c.id == person_id, people.c.administrator, people.c.disabled.is_(False)
    )
    return await tx.first(query.with_for_update(read=True)) is not None


async def _withdraw_invitations(tx: Transaction, workspace_id: str, person_id: str) -> None:
    # A former owner must not become one again by an invitation that they made.
    made = (links.c.workspace_id == workspace_id) & (links.c.invited_by == person_id)
    await tx.execute(delete(links).where(made))
