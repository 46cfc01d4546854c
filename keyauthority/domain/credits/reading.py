"""Reading a workspace's ledger, and proving that it adds up."""

from __future__ import annotations

from keyauthority.domain.books import Books
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.entering import EXPIRING, read_sheet
from keyauthority.domain.finding import visible_workspace
from keyauthority.domain.ledger import Entry, EntryFilter, Proof, Sums
from keyauthority.domain.repositories import Transaction
from keyauthority.escrow.slices import Account


class ReadingLedger:
    """Tells what workspaces have, and why."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def account(self, actor: Actor, workspace_id: str) -> Account:
        """Returns what the workspace has without what is due to expire; raises `WORKSPACE_NOT_FOUND`."""

        async def work(tx: Transaction) -> Account:
            await visible_workspace(tx, actor, workspace_id)
            sheet = await read_sheet(tx, workspace_id)
            sheet.expire(EXPIRING.signature)
            return sheet.account

        return await self._books.read(work)

    async def page(
        self, actor: Actor, which: EntryFilter, limit: int, before: int | None
    ) -> list[Entry]:
        """Returns up to *limit* entries, newest first; raises `WORKSPACE_NOT_FOUND`."""

        async def work(tx: Transaction) -> list[Entry]:
            await visible_workspace(tx, actor, which.workspace_id)
            return await tx.ledger.page(which, limit, before)

        return await self._books.read(work)

    async def prove(self, actor: Actor, workspace_id: str) -> Proof:
        """Returns what one state of the ledger adds up to; raises `WORKSPACE_NOT_FOUND`."""

        async def work(tx: Transaction) -> Proof:
            await visible_workspace(tx, actor, workspace_id)
            account, entries = (await tx.ledger.accounts([workspace_id]))[workspace_id]
            sums = await tx.ledger.sums(workspace_id)
            return Proof(sums.entries, account, tuple(_faults(account, entries, sums)))

        return await self._books.read(work)


def _faults(account: Account, entries: int, sums: Sums) -> list[str]:
    pairs = (
        ("the account's balance", account.balance, "the sum of the entries", sums.amounts),
        ("the newest entry's balance", sums.balance, "the sum of the entries", sums.amounts),
        ("the account's count of entries", entries, "the number of entries", sums.entries),
        ("the newest entry's number", sums.newest, "the number of entries", sums.entries),
        ("the account's escrowed", account.escrowed, "the sum of the slices", sums.escrowed),
        ("what remains of the grants", sums.remaining, "the balance", max(account.balance, 0)),
    )
    return [
        f"{one} is {value}, and {other} is {expected}"
        for one, value, other, expected in pairs
        if value != expected
    ]
