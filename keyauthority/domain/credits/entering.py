"""What everything that enters something into a ledger goes through, in one transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from keyauthority.domain import limits, secrets
from keyauthority.domain.books import Change
from keyauthority.domain.callers import Actor, authority
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Fact
from keyauthority.domain.finding import visible_workspace
from keyauthority.domain.ledger import Credited, Entry, Kind, makes_grant
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sheets import Sheet

EXPIRING: Final = authority("expiry of credits")
"""Whoever has credits expire, whosever call it happens in. The entry in the ledger is the record of it:
it leaves none in the audit. Verifiers need not hear of it, since it takes nothing that stands in slices.
"""


async def read_sheet(tx: Transaction, workspace_id: str) -> Sheet:
    """Returns the account of a workspace that exists; a changing transaction locks it until its end."""
    return (await read_sheets(tx, [workspace_id]))[workspace_id]


async def read_sheets(tx: Transaction, workspace_ids: Collection[str]) -> dict[str, Sheet]:
    """Returns the same of those of the workspaces that exist."""
    accounts = await tx.ledger.accounts(workspace_ids)
    grants = await tx.ledger.grants(workspace_ids)
    return {
        workspace_id: Sheet(workspace_id, account, entries, grants.get(workspace_id, ()), tx.time)
        for workspace_id, (account, entries) in accounts.items()
    }


async def write_sheet(tx: Transaction, sheet: Sheet) -> None:
    """Writes what *sheet* has more than the ledger."""
    await tx.ledger.write([sheet.to_write])


async def open_sheet(change: Change, actor: Actor, workspace_id: str) -> Sheet:
    """Returns the account of a workspace that *actor* may bill, without what was due to expire.

    Raises `WORKSPACE_NOT_FOUND`.
    """
    await visible_workspace(change.tx, actor, workspace_id)
    return await open_due(change.tx, workspace_id)


async def open_due(tx: Transaction, workspace_id: str) -> Sheet:
    """Returns the workspace's account. What was due has expired, whatever happens to it next."""
    sheet = await read_sheet(tx, workspace_id)
    sheet.expire(EXPIRING.signature)
    return sheet


async def entry_of(tx: Transaction, workspace_id: str, reference: str) -> Entry | None:
    """Returns the entry under *reference*, if there is one."""
    name = workspace_id, reference
    return (await tx.ledger.by_reference([name])).get(name)


async def entered(tx: Transaction, sheet: Sheet, entry: Entry) -> Credited:
    """Writes *sheet* and returns *entry*, of now or of the call that this one repeats."""
    await write_sheet(tx, sheet)
    granted = None
    if makes_grant(entry):
        granted = await tx.ledger.grant(sheet.workspace_id, entry.subject)
    return Credited(entry, sheet.account, sheet.cut, granted)


def state(change: Change, workspace_id: str, fact: Fact, amount: int) -> None:
    """States that *amount* was added to the workspace's credits, or taken from them."""
    # Verifiers have to hear of what they may no longer spend; of what is added nobody has to.
    if amount < 0:
        change.alters(credits_of(workspace_id), workspace_id, fact)
    else:
        change.records(fact, credits_of(workspace_id), workspace_id)


def credits_of(workspace_id: str) -> str:
    """Returns the subject of what happens to a workspace's credits: no verdict depends on it."""
    return f"{workspace_id}/credits"


def check_repeat(before: Entry, kind: Kind, amount: int, note: str) -> None:
    """Raises `REFERENCE_REUSED` if the entry *before* says something else."""
    if (before.kind, before.amount, before.note) != (kind, amount, note):
        raise reused(before.reference)


def reused(reference: str) -> KeyAuthorityError:
    """Returns the error for a *reference* whose entry says something else."""
    return KeyAuthorityError(
        Reason.REFERENCE_REUSED,
        "the ledger has an entry under that reference that says something else",
        reference=reference,
    )


def reference_or_new(reference: str, kind: str) -> str:
    """Returns *reference*, checked, or if it is empty a new one of that *kind*."""
    return limits.reference(reference, "reference") if reference else secrets.new_id(kind)
