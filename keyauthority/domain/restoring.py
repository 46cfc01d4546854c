"""Putting the books right after they were restored from a backup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Insider
from keyauthority.domain.keys import RevocationReason
from keyauthority.domain.revisions import Head

RESTORE: Final = "db restore-epoch"
"""What the audit says was done."""

_REVOKE_KEY: Final = frozenset(
    {"KeyService.RevokeKey", "KeyService.RevokeKeys", "VerificationService.RevokePresented"}
)


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
            change.records(details={"epoch": str(head.epoch)})
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
                change.records("terms", details={"settled": str(head.epoch)})

        await self._books.record(actor, work)


async def _again(change: Change, entry: AuditEntry, restored: Head, done: Replayed) -> None:
    # What an earlier restore did again is told by its own entries: the first ones may be gone.
    kind = entry.subject.partition("_")[0] if entry.action == RESTORE else ""
    if entry.action in _REVOKE_KEY or kind == "key":
        await _revoke_key(change, entry, done)
    elif entry.action == "CallerService.RevokeCaller" or kind == "caller":
        await _revoke_caller(change, entry, done)
    elif entry.revision <= restored.revision:
        return  # What it tells is in the backup, and may have been taken back before it was made.
    elif entry.action == "WorkspaceService.UpdateWorkspace" or kind == "ws":
        await _suspend(change, entry, done)
    elif entry.action == "KeyService.RotateKey":
        done.rotated = _with(done.rotated, entry.subject)
    elif entry.action == "KeyService.UpdateKey":
        done.updated = _with(done.updated, entry.subject)


async def _revoke_key(change: Change, entry: AuditEntry, done: Replayed) -> None:
    key = (await change.tx.keys.get([entry.subject])).get(entry.subject)
    if key is None:
        done.missing = _with(done.missing, entry.subject)
        return
    reason = RevocationReason.__members__.get(
        entry.details.get("reason", ""), RevocationReason.UNSPECIFIED
    )
    after = key.revoked(entry.time, reason, entry.details.get("note", ""))
    if after is not key:
        await change.tx.keys.update([(key, after)])
        change.alters(key.id, key.workspace_id, **_said(entry, "reason", "note"))
        done.keys += 1


async def _revoke_caller(change: Change, entry: AuditEntry, done: Replayed) -> None:
    caller = await change.tx.callers.get(entry.subject)
    if caller is None:
        done.missing = _with(done.missing, entry.subject)
    elif caller.revoke_time is None:
        await change.tx.callers.update(caller.revoked(entry.time))
        change.alters(caller.id)
        done.callers += 1


async def _suspend(change: Change, entry: AuditEntry, done: Replayed) -> None:
    workspace = await change.tx.workspaces.get(entry.subject)
    if workspace is None:
        done.missing = _with(done.missing, entry.subject)
        return
    suspended = entry.details.get("suspended") == "true"
    after = workspace.updated(change.tx.time, name=workspace.name, suspended=suspended)
    if after is not workspace:
        await change.tx.workspaces.update(after)
        change.alters(workspace.id, workspace.id, **_said(entry, "suspended"))
        done.workspaces += 1


def _said(entry: AuditEntry, *names: str) -> dict[str, str]:
    return {name: entry.details[name] for name in names if name in entry.details}


def _with(ids: Iterable[str], one: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*ids, one)))
