"""Creating, listing and revoking callers: the credentials of services and operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyauthority.domain import limits, secrets
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor, Caller, Role
from keyauthority.domain.errors import (
    KeyAuthorityError,
    Reason,
    caller_not_found,
    invalid,
    workspace_not_found,
)
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.peppers import active
from keyauthority.domain.ports import Keyring
from keyauthority.domain.repositories import Cursor, Transaction
from keyauthority.domain.sealing import sealed_caller
from keyauthority.domain.secrets import Secret
from keyauthority.domain.sessions import Receipt

BOUND_WORKSPACES: Final = 100
"""The most workspaces that an issuer can be bound to."""


async def new_caller(
    tx: Transaction,
    keyring: Keyring,
    name: str,
    roles: frozenset[Role],
    workspace_ids: tuple[str, ...] = (),
    certificate_name: str = "",
    *,
    acts_for_people: bool = False,
) -> tuple[Caller, Secret]:
    """Inserts a new caller and mints its token."""
    version = active(await tx.peppers.all()).version
    caller_id = secrets.new_id("caller")
    token = secrets.mint(caller_id, secrets.TOKEN_PREFIX)
    unsealed = Caller(
        id=caller_id,
        name=name,
        roles=roles,
        workspace_ids=workspace_ids,
        certificate_name=certificate_name,
        digest=keyring.digest(version, caller_id, token.reveal()),
        pepper_version=version,
        token_hint=token.hint,
        create_time=tx.time,
        acts_for_people=acts_for_people,
    )
    caller = sealed_caller(keyring, unsealed)
    await tx.callers.insert(caller)
    return caller, token


class ManagingCallers:
    """Administers callers."""

    def __init__(self, books: Books, keyring: Keyring) -> None:
        self._books = books
        self._keyring = keyring

    async def create(
        self,
        actor: Actor,
        name: str,
        roles: Sequence[Role],
        workspace_ids: Sequence[str],
        certificate_name: str,
        *,
        acts_for_people: bool = False,
    ) -> tuple[Caller, Secret]:
        """Creates a caller and mints its token.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `WORKSPACE_NOT_FOUND`, `CALLER_NAME_TAKEN`,
        `CERTIFICATE_NAME_TAKEN`.
        """
        limits.name(name)
        limits.certificate_name(certificate_name)
        if not roles or len(set(roles)) < len(roles):
            raise invalid("roles", "does not name one role or more, each once")
        if len(workspace_ids) > BOUND_WORKSPACES or len(set(workspace_ids)) < len(workspace_ids):
            raise invalid(
                "workspace_ids", f"has more than {BOUND_WORKSPACES} entries, or one twice"
            )

        async def work(change: Change) -> tuple[Caller, Secret]:
            tx = change.tx
            await _check_free(tx, name, certificate_name)
            for workspace_id in workspace_ids:
                if await tx.workspaces.get(workspace_id) is None:
                    raise workspace_not_found(workspace_id)
            caller, token = await new_caller(
                tx,
                self._keyring,
                name,
                frozenset(roles),
                tuple(workspace_ids),
                certificate_name,
                acts_for_people=acts_for_people,
            )
            details = {"name": name, "roles": ",".join(sorted(role.name for role in roles))}
            if acts_for_people:
                details["acts_for_people"] = "true"
            change.records(Fact(Action.CALLER_CREATED, details), caller.id)
            return caller, token

        return await self._books.record(actor, work)

    async def page(self, limit: int, after: Cursor | None) -> list[Caller]:
        """Returns up to *limit* callers, newest first, revoked ones included."""
        return await self._books.read(lambda tx: tx.callers.page(limit, after))

    async def revoke(self, actor: Actor, caller_id: str) -> tuple[Caller, Receipt]:
        """Revokes a caller for good; a revoked caller stays unchanged.

        Raises `KeyAuthorityError`: `CALLER_NOT_FOUND`, `LAST_ADMIN`.
        """

        async def work(change: Change) -> Caller:
            before = await change.tx.callers.get(caller_id)
            if before is None:
                raise caller_not_found(caller_id)
            after = before.revoked(change.tx.time)
            if after is not before:
                await _check_not_last_admin(change.tx, before)
                await change.tx.callers.update(after)
                change.alters(caller_id, "", Fact(Action.CALLER_REVOKED, {"name": after.name}))
            return after

        return await self._books.change(actor, work)


async def _check_free(tx: Transaction, name: str, certificate_name: str) -> None:
    if await tx.callers.by_name(name) is not None:
        raise KeyAuthorityError(Reason.CALLER_NAME_TAKEN, "a caller of that name exists", name=name)
    if certificate_name and await tx.callers.by_certificate([certificate_name]) is not None:
        raise KeyAuthorityError(
            Reason.CERTIFICATE_NAME_TAKEN,
            "a caller with that certificate name exists",
            certificate_name=certificate_name,
        )


async def _check_not_last_admin(tx: Transaction, caller: Caller) -> None:
    if Role.ADMIN in caller.roles and await tx.callers.admins() == 1:
        raise KeyAuthorityError(
            Reason.LAST_ADMIN,
            "the last admin can't be revoked: create another one first",
            caller_id=caller.id,
        )
