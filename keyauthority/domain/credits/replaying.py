"""Entering again what a restored ledger lacks of its export."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from keyauthority.domain.auditing import Signature
from keyauthority.domain.credits.entering import entry_of, read_sheet, read_sheets, write_sheet
from keyauthority.domain.credits.refunding import left_of, return_charge
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ledger import Entry, Kind, makes_grant
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sheets import Sheet
from keyauthority.escrow.grants import Grant

_PIECE: Final = 1_000
"""How many entries are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An entry of an export; if it made a grant, the grant's `terms` (`Grant.terms`)."""

    entry: Entry
    terms: tuple[int, datetime | None, bool] | None = None


@dataclass(slots=True)
class Reentered:
    """What came of exports: so many entries were entered, and so many were in the books already.

    `workspaces` are those that the books lack: of these nothing is entered. `gaps` name the entries
    that neither the books nor the exports have, and `left_out` the refunds that did not fit.
    """

    entered: int = 0
    known: int = 0
    workspaces: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


Ledgers: TypeAlias = Mapping[str, Iterable[Exported]]
"""The entries of exports by the workspace's id, each workspace's by number. They are read once, in
the transaction, and not at all for a workspace that the books lack.
"""

NO_LEDGERS: Final[Ledgers] = {}


async def enter_again(tx: Transaction, ledgers: Ledgers) -> Reentered:
    """Enters those exported entries that the ledgers lack, under their references and of their time.

    An entry is known by its reference, so that nothing is entered twice. A ledger that is a part of
    its export becomes equal to it, entry by entry. One that has gone on since the backup gets the
    entries under new numbers.

    Raises `REFERENCE_REUSED` if a ledger says something else than its export, `FIELD_INVALID`,
    `BALANCE_OUT_OF_RANGE`.
    """
    done = Reentered()
    for workspace_id in sorted(ledgers):
        sheet = (await read_sheets(tx, [workspace_id])).get(workspace_id)
        if sheet is None:
            done.workspaces += (workspace_id,)
        else:
            await _Continuation(tx, sheet, done).enter(ledgers[workspace_id])
    return done


class _Continuation:
    """One ledger on its way to what its export says."""

    def __init__(self, tx: Transaction, sheet: Sheet, done: Reentered) -> None:
        self._tx = tx
        self._sheet = sheet
        self._of = sheet.workspace_id
        self._done = done
        self._known: dict[tuple[str, str], Entry] = {}
        self._reached = sheet.entries
        # Nothing of the export is missing so far: numbers and balances have to be the same.
        self._whole = True

    async def enter(self, entries: Iterable[Exported]) -> None:
        """Enters what the ledger lacks of *entries*."""
        for piece in _pieces(entries):
            names = [(self._of, one.entry.reference) for one in piece]
            self._known = await self._tx.ledger.by_reference(names)
            for one in piece:
                await self._take(one)
            await self._flush()

    async def _take(self, one: Exported) -> None:
        entry = one.entry
        if entry.number > self._reached + 1:
            self._done.gaps += (f"{self._of}: {self._reached + 1} to {entry.number - 1}",)
            self._whole = False
        self._reached = max(self._reached, entry.number)
        before = self._known.get((self._of, entry.reference))
        if before is None:
            await self._enter(one)
        elif (before.kind, before.amount) != (entry.kind, entry.amount):
            raise _differs(entry)
        else:
            self._done.known += 1

    async def _enter(self, one: Exported) -> None:
        exported = one.entry
        self._sheet.time = exported.time
        entry = await self._entered(one)
        if entry is None:
            self._whole = False
            return
        if self._whole and entry.number == exported.number and entry.balance != exported.balance:
            raise _differs(exported)
        self._known[self._of, entry.reference] = entry
        self._done.entered += 1

    async def _entered(self, one: Exported) -> Entry | None:
        entry = one.entry
        by = Signature(
            *(entry.caller_id, entry.caller_name, ""),
            person_id=entry.person_id,
            person_name=entry.person_name,
        )
        if makes_grant(entry):
            grant = _grant(one)
            return self._sheet.grant(grant, entry.kind, entry.reference, by, entry.note)
        if entry.kind is Kind.REFUND:
            return await self._refund(entry, by)
        if entry.amount > 0 or (entry.amount == 0 and entry.kind is not Kind.CHARGE):
            raise _invalid(entry)
        if entry.kind is Kind.EXPIRY and self._sheet.remaining(entry.subject) < -entry.amount:
            # It has expired since the backup. What is left of it is due, and expires by itself.
            return None
        return self._reduce(entry, by, entry.subject)

    def _reduce(self, entry: Entry, by: Signature, first: str) -> Entry:
        return self._sheet.reduce(
            entry.kind,
            -entry.amount,
            entry.reference,
            by,
            subject=entry.subject,
            note=entry.note,
            use=entry.use,
            first=first,
        )

    async def _refund(self, entry: Entry, by: Signature) -> Entry | None:
        # What it returns, and what that drew, may stand on the sheet as yet.
        await self._flush()
        refunded = await entry_of(self._tx, self._of, entry.subject)
        sign = 1 if entry.amount > 0 else -1
        if (
            refunded is None
            or refunded.kind is not (Kind.CHARGE if sign > 0 else Kind.GRANT)
            or abs(entry.amount) > (left := await left_of(self._tx, self._sheet, refunded))
        ):
            self._done.left_out += (f"{self._of}: {entry.reference}",)
            return None
        if refunded.kind is Kind.GRANT:
            return self._reduce(entry, by, refunded.subject)
        return await return_charge(
            self._tx,
            self._sheet,
            refunded,
            left,
            entry.amount,
            reference=entry.reference,
            by=by,
            note=entry.note,
        )

    async def _flush(self) -> None:
        if self._sheet.written:
            time = self._sheet.time
            await write_sheet(self._tx, self._sheet)
            self._sheet = await read_sheet(self._tx, self._of)
            self._sheet.time = time


def _pieces(entries: Iterable[Exported]) -> Iterator[list[Exported]]:
    left = iter(entries)
    while piece := list(itertools.islice(left, _PIECE)):
        yield piece


def _grant(one: Exported) -> Grant:
    if one.terms is None or not one.entry.subject or one.entry.amount <= 0:
        raise _invalid(one.entry)
    return Grant(one.entry.subject, one.entry.amount, one.entry.time, *one.terms)


def _invalid(entry: Entry) -> KeyAuthorityError:
    return KeyAuthorityError(
        Reason.FIELD_INVALID,
        f"entry {entry.number} in the export of {entry.workspace_id} is none that a ledger can have",
        field="replay",
    )


def _differs(entry: Entry) -> KeyAuthorityError:
    return KeyAuthorityError(
        Reason.REFERENCE_REUSED,
        f"entry {entry.number} in the export of {entry.workspace_id} does not agree with the ledger "
        "in the backup: it is of other books, or was changed",
        reference=entry.reference,
    )
