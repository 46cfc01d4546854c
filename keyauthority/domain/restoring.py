"""Correcting the books after a restore from a backup."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, TypeAlias, assert_never

from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.books import ALONE, Books, Change
from keyauthority.domain.callers import Insider
from keyauthority.domain.credits.pricing import SUBJECT, fact_of, price_in
from keyauthority.domain.credits.replaying import NO_LEDGERS, Ledgers, Reentered, enter_again
from keyauthority.domain.facts import Action, Fact, length, of_workspace
from keyauthority.domain.keys import RevocationReason
from keyauthority.domain.sessions import Head
from keyauthority.domain.workspaces import Workspace

RESTORE: Final = "db restore-epoch"
"""The command, for the audit."""


@dataclass(slots=True)
class Replayed:
    """What a restore did again.

    It revoked so many keys and callers, created and changed so many workspaces, and set so many
    prices. `ledgers` is what it entered again.

    `rotated` and `updated` are ids of keys with changes that the audit can't repeat. `missing` are
    ids that the restored books don't have.
    """

    keys: int = 0
    callers: int = 0
    workspaces: int = 0
    workspaces_created: int = 0
    prices: int = 0
    ledgers: Reentered = field(default_factory=Reentered)
    rotated: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Restoring:
    """Begins a new epoch in which whatever was revoked before the restore stays revoked."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def restore(
        self,
        actor: Insider,
        entries: Sequence[AuditEntry],
        longest_lease: timedelta = timedelta(),
        ledgers: Ledgers = NO_LEDGERS,
    ) -> tuple[Head, Replayed]:
        """Begins the next epoch, without sessions and slices, and repeats the revocations in *entries*.

        *entries* are the exported audit, *longest_lease* a lease longer than these books know that
        may be in force, *ledgers* exported entries of ledgers (see `enter_again`). All of it is one
        transaction. Until `settle`, every change waits for the longest lease.

        Raises `REFERENCE_REUSED`, `FIELD_INVALID`, `BALANCE_OUT_OF_RANGE` for *ledgers* of other books.
        """
        entries = sorted(
            (entry for entry in entries if not entry.refused), key=lambda entry: entry.id
        )

        async def work(change: Change) -> tuple[Head, Replayed]:
            tx, replayed = change.tx, Replayed()
            # Accounts are locked before the head, as in every change of both.
            await tx.slices.void_all()
            for entry in entries:
                if entry.action is Action.WORKSPACE_CREATED:
                    await _create_workspace(change, entry, replayed)
            replayed.ledgers = await enter_again(tx, ledgers)
            head = await tx.leases.begin_epoch(tx.time)
            terms = await tx.leases.terms()
            longest = max(terms.longest_lease, longest_lease)
            await tx.leases.put(replace(terms, longest_lease=longest))
            details = {"epoch": str(head.epoch), "longest_lease": length(longest)}
            if replayed.ledgers.entered:
                details["entries"] = str(replayed.ledgers.entered)
            change.records(Fact(Action.EPOCH_BEGUN, details))
            for entry in entries:
                await _repeat(change, entry, head, replayed)
            return head, replayed

        # Alone, and so never run twice: the ledgers can be read once only.
        result, _ = await self._books.change(actor, work, size=ALONE)
        return result

    async def settle(self, actor: Insider, head: Head) -> None:
        """Ends the settling of *head*'s epoch: its caller has waited until older leases were over."""

        async def work(change: Change) -> None:
            terms = await change.tx.leases.terms()
            if terms.settling and (await change.tx.feed.head()).epoch == head.epoch:
                await change.tx.leases.put(replace(terms, settling=False))
                change.records(Fact(Action.EPOCH_SETTLED, {"epoch": str(head.epoch)}))

        await self._books.record(actor, work)


Repetition: TypeAlias = Callable[[Change, AuditEntry, Replayed], Awaitable[None]]


async def _repeat(change: Change, entry: AuditEntry, restored: Head, replayed: Replayed) -> None:
    repetition = repetition_of(entry.action)
    # Revocations are final. Any other change before the backup may have been undone before it, too.
    final = repetition in (_revoke_key, _revoke_caller)
    if repetition is not None and (final or entry.revision > restored.revision):
        await repetition(change, entry, replayed)


def repetition_of(action: Action) -> Repetition | None:  # noqa: PLR0911  # one for each kind
    """Returns what a restore does about an action in the audit; None: nothing."""
    match action:
        case Action.KEY_REVOKED:
            return _revoke_key
        case Action.CALLER_REVOKED:
            return _revoke_caller
        case Action.WORKSPACE_SUSPENDED | Action.WORKSPACE_RESUMED | Action.WORKSPACE_CHANGED:
            return _suspend
        case Action.KEY_ROTATED:
            return _name_rotated
        case Action.PRICE_SET:
            return _set_price
        case (
            Action.KEY_PAUSED
            | Action.KEY_RESUMED
            | Action.KEY_RENAMED
            | Action.KEY_EXPIRY_CHANGED
            | Action.KEY_SCOPES_CHANGED
            | Action.KEY_LABELS_CHANGED
            | Action.KEY_CHANGED
            | Action.OTHER
        ):
            return _name_updated
        case (
            # Nothing can be created again without its secret.
            Action.KEY_ISSUED
            | Action.KEY_IMPORTED
            | Action.IMPORTS_BEGUN
            | Action.CALLER_CREATED
            # These come first, before the ledgers.
            | Action.WORKSPACE_CREATED
            # These change nothing about who is accepted.
            | Action.WORKSPACE_RENAMED
            | Action.AUDIT_PRUNED
            | Action.ATTEMPT_REFUSED
            # These come from exports of the ledgers, or are repeated by whoever made them.
            | Action.CREDITS_ADDED
            | Action.CREDITS_ADJUSTED
            | Action.CREDITS_REFUNDED
            | Action.CREDITS_EXPIRED
            # These concern the keyring, or the lost database.
            | Action.PEPPER_ADDED
            | Action.PEPPER_ACTIVATED
            | Action.PEPPER_RETIRED
            | Action.LEASE_CHANGED
            | Action.EPOCH_BEGUN
            | Action.EPOCH_SETTLED
            | Action.RECORDS_SEALED
        ):
            return None
        case _:
            assert_never(action)


async def _revoke_key(change: Change, entry: AuditEntry, replayed: Replayed) -> None:
    key = (await change.tx.keys.get([entry.subject])).get(entry.subject)
    if key is None:
        replayed.missing = _with(replayed.missing, entry.subject)
        return
    reason = RevocationReason.__members__.get(
        entry.details.get("reason", ""), RevocationReason.UNSPECIFIED
    )
    after = key.revoked(entry.time, reason, entry.details.get("note", ""), entry.who)
    if after is not key:
        await change.tx.keys.update([(key, after)])
        change.alters(key.id, key.workspace_id, Fact(Action.KEY_REVOKED, entry.details))
        replayed.keys += 1


async def _revoke_caller(change: Change, entry: AuditEntry, replayed: Replayed) -> None:
    caller = await change.tx.callers.get(entry.subject)
    if caller is None:
        replayed.missing = _with(replayed.missing, entry.subject)
    elif caller.revoke_time is None:
        await change.tx.callers.update(caller.revoked(entry.time))
        change.alters(caller.id, "", Fact(Action.CALLER_REVOKED, {"name": caller.name}))
        replayed.callers += 1


async def _create_workspace(change: Change, entry: AuditEntry, replayed: Replayed) -> None:
    # Under its id: its ledger names it, and so do the console's members.
    if await change.tx.workspaces.get(entry.subject) is not None:
        return
    name = entry.details.get("name", entry.subject)
    workspace = Workspace(entry.subject, name, False, entry.time, entry.time, version=1)
    await change.tx.workspaces.insert(workspace)
    fact = Fact(Action.WORKSPACE_CREATED, {"name": name})
    change.records(fact, workspace.id, workspace.id)
    replayed.workspaces_created += 1


async def _suspend(change: Change, entry: AuditEntry, replayed: Replayed) -> None:
    workspace = await change.tx.workspaces.to_change(entry.subject)
    if workspace is None:
        replayed.missing = _with(replayed.missing, entry.subject)
        return
    suspended = entry.action is Action.WORKSPACE_SUSPENDED
    after = workspace.updated(change.tx.time, name=workspace.name, suspended=suspended)
    if after is not workspace:
        await change.tx.workspaces.update(after)
        change.alters(workspace.id, workspace.id, *of_workspace(workspace, after))
        replayed.workspaces += 1


async def _set_price(change: Change, entry: AuditEntry, replayed: Replayed) -> None:
    # Under its id: charges name it. It may count from the past on, when requests were charged by it.
    try:
        price = price_in(entry.details)
    except (KeyError, ValueError):
        replayed.missing = _with(replayed.missing, entry.details.get("price", entry.subject))
        return
    place = price.model, price.path, price.effective_time
    stored = await change.tx.prices.to_change([price.model.text])
    if all((row.model, row.path, row.effective_time) != place for row in stored):
        await change.tx.prices.insert([price])
        change.alters(SUBJECT, "", fact_of(price))
        replayed.prices += 1


async def _name_rotated(_change: Change, entry: AuditEntry, replayed: Replayed) -> None:
    replayed.rotated = _with(replayed.rotated, entry.subject)


async def _name_updated(_change: Change, entry: AuditEntry, replayed: Replayed) -> None:
    replayed.updated = _with(replayed.updated, entry.subject)


def _with(ids: tuple[str, ...], new_id: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*ids, new_id)))
