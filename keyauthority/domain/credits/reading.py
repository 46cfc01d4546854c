"""Reading a workspace's ledger, and proving that it adds up."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

from keyauthority.domain.books import Books
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.entering import EXPIRING, read_sheet
from keyauthority.domain.finding import visible_workspace
from keyauthority.domain.ledger import Entry, EntryFilter, Proof, Sums, makes_grant
from keyauthority.domain.repositories import Transaction
from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account

_PIECE: Final = 5_000
"""Entries that are summed up at a time: whoever changes something waits for a read to end."""


class ReadingLedger:
    """Tells what workspaces have, and why."""

    def __init__(self, books: Books, piece: int = _PIECE) -> None:
        self._books = books
        self._piece = piece

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

        async def work(tx: Transaction) -> tuple[list[Entry], int | None]:
            await visible_workspace(tx, actor, which.workspace_id)
            return await tx.ledger.page(which, limit - len(entries), below)

        entries: list[Entry] = []
        below = before
        while True:
            matching, below = await self._books.read(work)
            entries += matching
            if below is None:
                return entries

    async def granted(self, workspace_id: str, entries: Iterable[Entry]) -> dict[str, Grant]:
        """Returns by id the grants that those of a workspace's *entries* made which added credits."""
        ids = {entry.subject for entry in entries if makes_grant(entry)}
        if not ids:
            return {}
        return await self._books.read(lambda tx: tx.ledger.grants_of(workspace_id, ids))

    async def prove(self, actor: Actor, workspace_id: str) -> Proof:
        """Returns what one state of the ledger adds up to; raises `WORKSPACE_NOT_FOUND`.

        The entries of that state never change: they are summed up afterwards, piece by piece.
        """

        async def work(tx: Transaction) -> tuple[Account, int, Sums]:
            await visible_workspace(tx, actor, workspace_id)
            account, entries = (await tx.ledger.accounts([workspace_id]))[workspace_id]
            return account, entries, await tx.ledger.sums(workspace_id)

        account, entries, sums = await self._books.read(work)
        count, amounts = await self._sum_up(workspace_id, sums.newest)
        faults = _faults(account, entries, sums, count, amounts)
        return Proof(count, account, tuple(faults))

    async def _sum_up(self, workspace_id: str, newest: int) -> tuple[int, int]:
        count = amounts = 0
        # The first piece has what stands before the first entry, too: nothing may.
        after: int | None = None
        for until in (*range(self._piece, newest, self._piece), newest):
            summing = functools.partial(_sum_up, workspace_id, after, until)
            entries, amount = await self._books.read(summing)
            count, amounts, after = count + entries, amounts + amount, until
        return count, amounts


async def _sum_up(
    workspace_id: str, after: int | None, until: int, tx: Transaction
) -> tuple[int, int]:
    return await tx.ledger.sum_up(workspace_id, after, until)


def _faults(account: Account, entries: int, sums: Sums, count: int, amounts: int) -> list[str]:
    pairs = (
        ("the account's balance", account.balance, "the sum of the entries", amounts),
        ("the newest entry's balance", sums.balance, "the sum of the entries", amounts),
        ("the account's count of entries", entries, "the number of entries", count),
        ("the newest entry's number", sums.newest, "the number of entries", count),
        ("the account's escrowed", account.escrowed, "the sum of the slices", sums.escrowed),
        ("what remains of the grants", sums.remaining, "the balance", max(account.balance, 0)),
    )
    return [
        f"{one} is {value}, and {other} is {expected}"
        for one, value, other, expected in pairs
        if value != expected
    ]
