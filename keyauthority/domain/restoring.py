"""Putting the books right after they were restored from a backup."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeAlias, assert_never

from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Insider
from keyauthority.domain.facts import Action, Fact, length, of_workspace
from keyauthority.domain.keys import RevocationReason
from keyauthority.domain.sessions import Head

RESTORE: Final = "db restore-epoch"
"""The command that does it, for the audit."""


@dataclass(slots=True)
class Replayed:
    """What was done again: how many keys and callers revoked, workspaces suspended.

    `rotated` and `updated` are ids of keys of which the audit tells a change that it doesn't hold.
    `missing` are ids that the restored books don't know.
    """

    keys: int = 0
    callers: int = 0
    workspaces: int = 0
    rotated: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Restoring:
    """Begins a new epoch, and takes back nothing that was refused before the backup was restored."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def restore(
        self,
        actor: Insider,
        entries: Sequence[AuditEntry],
        longest_lease: timedelta = timedelta(),
    ) -> tuple[Head, Replayed]:
        """Begins the next epoch, without sessions, and does again what the exported *entries* say
        was taken away. No change returns early until `settle`.

        Leases of *longest_lease* may be in force, if that is more than these books have granted.
        """

        async def work(change: Change) -> tuple[Head, Replayed]:
            tx, done = change.tx, Replayed()
            head = await tx.leases.begin_epoch(tx.time)
            terms = await tx.leases.terms()
            longest = max(terms.longest_lease, longest_lease)
            await tx.leases.put(replace(terms, longest_lease=longest))
            details = {"epoch": str(head.epoch), "longest_lease": length(longest)}
            change.records(Fact(Action.EPOCH_BEGUN, details))
            for entry in sorted(entries, key=lambda one: one.id):
                if not entry.refused:
                    await _again(change, entry, head, done)
            return head, done

        result, _ = await self._books.change(actor, work)
        return result

    async def settle(self, actor: Insider, head: Head) -> None:
        """Says that every lease from before *head*'s epoch is over, which its caller waited for."""

        async def work(change: Change) -> None:
            terms = await change.tx.leases.terms()
            if terms.settling and (await change.tx.feed.head()).epoch == head.epoch:
                await change.tx.leases.put(replace(terms, settling=False))
                change.records(Fact(Action.EPOCH_SETTLED, {"epoch": str(head.epoch)}))

        await self._books.record(actor, work)


Deed: TypeAlias = Callable[[Change, AuditEntry, Replayed], Awaitable[None]]


async def _again(change: Change, entry: AuditEntry, restored: Head, done: Replayed) -> None:
    deed = deed_again(entry.action)
    # Revocations are final. What else is in the backup may have been taken back before it was made.
    final = deed in (_revoke_key, _revoke_caller)
    if deed is not None and (final or entry.revision > restored.revision):
        await deed(change, entry, done)


def deed_again(action: Action) -> Deed | None:
    """What a restore does about an action that it finds in the audit; None: nothing."""
    match action:
        case Action.KEY_REVOKED:
            return _revoke_key
        case Action.CALLER_REVOKED:
            return _revoke_caller
        case Action.WORKSPACE_SUSPENDED | Action.WORKSPACE_RESUMED | Action.WORKSPACE_CHANGED:
            return _suspend
        case Action.KEY_ROTATED:
            return _name_rotated
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
            # What was made can't be made again without its secret.
            Action.KEY_ISSUED
            | Action.KEY_IMPORTED
            | Action.IMPORTS_BEGUN
            | Action.WORKSPACE_CREATED
            | Action.CALLER_CREATED
            # What changed nothing about who is accepted.
            | Action.WORKSPACE_RENAMED
            | Action.AUDIT_PRUNED
            | Action.ATTEMPT_REFUSED
            # What is of the keyring, or of the database that was lost.
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


async def _revoke_key(change: Change, entry: AuditEntry, done: Replayed) -> None:
    key = (await change.tx.keys.get([entry.subject])).get(entry.subject)
    if key is None:
        done.missing = _with(done.missing, entry.subject)
        return
    reason = RevocationReason.__members__.get(
        entry.details.get("reason", ""), RevocationReason.UNSPECIFIED
    )
    after = key.revoked(entry.time, reason, entry.details.get("note", ""), entry.who)
    if after is not key:
        await change.tx.keys.update([(key, after)])
        change.alters(key.id, key.workspace_id, Fact(Action.KEY_REVOKED, entry.details))
        done.keys += 1


async def _revoke_caller(change: Change, entry: AuditEntry, done: Replayed) -> None:
    caller = await change.tx.callers.get(entry.subject)
    if caller is None:
        done.missing = _with(done.missing, entry.subject)
    elif caller.revoke_time is None:
        await change.tx.callers.update(caller.revoked(entry.time))
        change.alters(caller.id, "", Fact(Action.CALLER_REVOKED, {"name": caller.name}))
        done.callers += 1


async def _suspend(change: Change, entry: AuditEntry, done: Replayed) -> None:
    workspace = await change.tx.workspaces.get(entry.subject)
    if workspace is None:
        done.missing = _with(done.missing, entry.subject)
        return
    suspended = entry.action is Action.WORKSPACE_SUSPENDED
    after = workspace.updated(change.tx.time, name=workspace.name, suspended=suspended)
    if after is not workspace:
        await change.tx.workspaces.update(after)
        change.alters(workspace.id, workspace.id, *of_workspace(workspace, after))
        done.workspaces += 1


async def _name_rotated(_change: Change, entry: AuditEntry, done: Replayed) -> None:
    done.rotated = _with(done.rotated, entry.subject)


async def _name_updated(_change: Change, entry: AuditEntry, done: Replayed) -> None:
    done.updated = _with(done.updated, entry.subject)


def _with(ids: Iterable[str], one: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*ids, one)))
