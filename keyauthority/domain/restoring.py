"""Putting the books right after they were restored from a backup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.keys import RevocationReason
from keyauthority.domain.ports import Store, Transaction
from keyauthority.domain.revisions import Head

ACTION: Final = "db restore-epoch"
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

    def __init__(self, store: Store) -> None:
        self._store = store

    async def restore(
        self, entries: Sequence[AuditEntry], longest_lease: timedelta = timedelta()
    ) -> tuple[Head, Replayed]:
        """Begins the next epoch, without sessions, and does again what the exported *entries* say
        was taken away. No change returns early until `settle`.

        Leases of *longest_lease* may be in force, if that is more than these books have granted.
        """
        done = Replayed()
        async with self._store.changing() as tx:
            head = await tx.leases.begin_epoch(tx.time)
            terms = await tx.leases.terms()
            longest = max(terms.longest_lease, longest_lease)
            await tx.leases.put(replace(terms, longest_lease=longest))
            await tx.audit.append([_entry(tx, "", details={"epoch": str(head.epoch)})])
            for entry in sorted(entries, key=lambda one: one.id):
                if not entry.refused:
                    await _again(tx, entry, head, done)
        return head, done

    async def settle(self, head: Head) -> None:
        """Says that every lease from before *head*'s epoch is over, which its caller waited for."""
        async with self._store.changing() as tx:
            terms = await tx.leases.terms()
            if (await tx.feed.head()).epoch == head.epoch:
                await tx.leases.put(replace(terms, settling=False))


async def _again(tx: Transaction, entry: AuditEntry, restored: Head, done: Replayed) -> None:
    # What an earlier restore did again is told by its own entries: the first ones may be gone.
    kind = entry.subject.partition("_")[0] if entry.action == ACTION else ""
    if entry.action in _REVOKE_KEY or kind == "key":
        await _revoke_key(tx, entry, done)
    elif entry.action == "CallerService.RevokeCaller" or kind == "caller":
        await _revoke_caller(tx, entry, done)
    elif entry.revision <= restored.revision:
        return  # What it tells is in the backup, and may have been taken back before it was made.
    elif entry.action == "WorkspaceService.UpdateWorkspace" or kind == "ws":
        await _suspend(tx, entry, done)
    elif entry.action == "KeyService.RotateKey":
        done.rotated = _with(done.rotated, entry.subject)
    elif entry.action == "KeyService.UpdateKey":
        done.updated = _with(done.updated, entry.subject)


async def _revoke_key(tx: Transaction, entry: AuditEntry, done: Replayed) -> None:
    key = (await tx.keys.get([entry.subject])).get(entry.subject)
    if key is None:
        done.missing = _with(done.missing, entry.subject)
        return
    reason = RevocationReason.__members__.get(
        entry.details.get("reason", ""), RevocationReason.UNSPECIFIED
    )
    after = key.revoked(entry.time, reason, entry.details.get("note", ""))
    if after is not key:
        await tx.keys.update([(key, after)])
        await _record(tx, key.id, key.workspace_id, _said(entry, "reason", "note"))
        done.keys += 1


async def _revoke_caller(tx: Transaction, entry: AuditEntry, done: Replayed) -> None:
    caller = await tx.callers.get(entry.subject)
    if caller is None:
        done.missing = _with(done.missing, entry.subject)
    elif caller.revoke_time is None:
        await tx.callers.update(caller.revoked(entry.time))
        await _record(tx, caller.id, "", {})
        done.callers += 1


async def _suspend(tx: Transaction, entry: AuditEntry, done: Replayed) -> None:
    workspace = await tx.workspaces.get(entry.subject)
    if workspace is None:
        done.missing = _with(done.missing, entry.subject)
        return
    suspended = entry.details.get("suspended") == "true"
    after = workspace.updated(tx.time, name=workspace.name, suspended=suspended)
    if after is not workspace:
        await tx.workspaces.update(after)
        await _record(tx, workspace.id, workspace.id, _said(entry, "suspended"))
        done.workspaces += 1


async def _record(
    tx: Transaction, subject: str, workspace_id: str, details: dict[str, str]
) -> None:
    revision = await tx.feed.advance([subject])
    await tx.audit.append([_entry(tx, subject, workspace_id, revision, details)])


def _said(entry: AuditEntry, *names: str) -> dict[str, str]:
    return {name: entry.details[name] for name in names if name in entry.details}


def _entry(
    tx: Transaction,
    subject: str,
    workspace_id: str = "",
    revision: int = 0,
    details: dict[str, str] | None = None,
) -> AuditEntry:
    return AuditEntry(
        id=0,
        time=tx.time,
        caller_id="",
        caller_name="",
        action=ACTION,
        subject=subject,
        workspace_id=workspace_id,
        refused=False,
        source="",
        request_id="",
        details=details or {},
        revision=revision,
    )


def _with(ids: Iterable[str], one: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*ids, one)))
