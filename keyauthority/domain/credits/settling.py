"""Serving verifiers that spend the credits of workspaces."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain.books import Books, Posting
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.charge_rates import ChargeRates
from keyauthority.domain.credits.charging import ChargeState, Charging, Counts, is_valid
from keyauthority.domain.credits.entering import EXPIRING, credits_of, read_sheets
from keyauthority.domain.credits.spending import Answer, Call, Closing, check
from keyauthority.domain.ports import Sessions
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sheets import Sheet
from keyauthority.domain.slices import OwnedSlice, Shared, SliceSheet
from keyauthority.escrow.slices import (
    Account,
    Settled,
    Slice,
    SliceCall,
    SliceKey,
    Word,
    close,
    settle,
)

RECALLED_EVERY: Final = timedelta(seconds=1)
"""The least from one recall of a workspace's credits to the next, by one process."""

_RECALLS: Final = 10_000
_NOBODY: Final = Shared()


class Recalls:
    """When the credits of each workspace were recalled last, by this process."""

    def __init__(self) -> None:
        self._last: dict[str, datetime] = {}

    def due(self, workspace_id: str, now: datetime) -> bool:
        """Returns whether a recall may be made now; it is taken to be made."""
        last = self._last.get(workspace_id)
        if last is not None and last <= now < last + RECALLED_EVERY:
            return False
        if len(self._last) >= _RECALLS:
            self._last.clear()
        self._last[workspace_id] = now
        return True


class Settling:
    """Serves verifiers that spend.

    Args:
        books: The books.
        sessions: The sessions of verifiers.
        rates: How many charges a second each caller may bring.
        counts: What all calls came to.
    """

    def __init__(
        self, books: Books, sessions: Sessions, rates: ChargeRates, counts: Counts
    ) -> None:
        self._books = books
        self._sessions = sessions
        self._rates = rates
        self._counts = counts
        self._recalls = Recalls()

    async def settle(self, actor: Actor, call: Call) -> Answer:
        """Enters charges, applies closings and grants slices, in this order.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `TOO_MANY_CHARGES`. A charge that breaks a limit is
        refused, and makes nothing else fail.

        Ids of sessions never come back: one that is over before the transaction stays so. One that
        ends meanwhile may be granted something, which nobody spends, and which is set aside as all
        its slices are.
        """
        check(call)
        self._rates.take(actor.caller.id, len(call.charges))
        refused = {index for index, charge in enumerate(call.charges) if not is_valid(charge)}
        valid = [charge for index, charge in enumerate(call.charges) if index not in refused]
        answer = await self._settle(actor, replace(call, charges=valid))
        self._counts.charges.update([ChargeState.REFUSED] * len(refused))
        states = iter(answer.charges)
        charges = [
            ChargeState.REFUSED if index in refused else next(states)
            for index in range(len(call.charges))
        ]
        return replace(answer, charges=charges)

    async def _settle(self, actor: Actor, call: Call) -> Answer:
        named = {closing.session_id for closing in call.closings} | {call.session_id}
        owners = await self._sessions.callers_of(named)
        living = {session_id for session_id, owner in owners.items() if owner == actor.caller.id}

        async def work(posting: Posting) -> tuple[Answer, Counts]:
            locked = await _lock(posting.tx, actor, call, living)
            settlement = _Settlement(posting, actor.caller.id, living, locked, self._recalls)
            return await settlement.run(call), locked.charging.counts

        answer, counts = await self._books.post(work)
        self._counts.add(counts)
        return answer


@dataclass(frozen=True, slots=True)
class _Locked:
    """What a call is about: accounts that are locked, and what was read of them since, by workspace."""

    epoch: int
    sheets: Mapping[str, Sheet]
    slices: Mapping[str, SliceSheet]
    shared: Mapping[str, Shared]
    charging: Charging


async def _lock(tx: Transaction, actor: Actor, call: Call, living: Collection[str]) -> _Locked:
    # In a few statements, however much it is.
    epoch = (await tx.feed.head()).epoch
    sheets = await read_sheets(tx, sorted(call.workspace_ids))
    slices = await _slice_sheets(tx, sheets, call)
    asking = {workspace_id for workspace_id, slice_ in call.slices if slice_.want or slice_.need}
    asking |= {workspace_id for workspace_id, sheet in sheets.items() if sheet.overdue}
    shared = await tx.slices.shared(asking, call.session_id) if asking else {}
    names = [charge.name for charge in call.charges]
    known = await tx.ledger.by_reference(names) if names else {}
    keys = {charge.use.key_id for charge in call.charges}
    homes = await tx.keys.homes(keys) if keys else {}
    session_id = call.session_id if call.session_id in living else ""
    charging = Charging(actor.signature, sheets, slices, known, homes, session_id)
    return _Locked(epoch, sheets, slices, shared, charging)


async def _slice_sheets(
    tx: Transaction, sheets: Mapping[str, Sheet], call: Call
) -> dict[str, SliceSheet]:
    sessions = {named for named in call.sessions if named[0] in sheets}
    by_workspace: dict[str, list[OwnedSlice]] = {workspace_id: [] for workspace_id in sheets}
    for slice_ in await tx.slices.of_sessions(sessions) if sessions else ():
        by_workspace[slice_.workspace_id].append(slice_)
    return {name: SliceSheet(name, slices) for name, slices in by_workspace.items()}


class _Settlement:
    """One call in its transaction; *living* are sessions of the caller."""

    def __init__(
        self,
        posting: Posting,
        caller_id: str,
        living: Collection[str],
        locked: _Locked,
        recalls: Recalls,
    ) -> None:
        self._posting = posting
        self._caller_id = caller_id
        self._living = living
        self._epoch = locked.epoch
        self._sheets = locked.sheets
        self._slices = locked.slices
        self._shared = locked.shared
        self._charging = locked.charging
        self._counts = locked.charging.counts
        self._recalls = recalls

    async def run(self, call: Call) -> Answer:
        """Applies *call* and writes what it changes."""
        for sheet in self._sheets.values():
            self._expire(sheet)
        states = [self._charging.enter(charge) for charge in call.charges]
        for workspace_id in self._charging.cut:
            self._posting.announce(credits_of(workspace_id))
        for closing in call.closings:
            self._close(closing)
        for sheet in self._sheets.values():
            self._expire(sheet)
        over = bool(call.session_id) and self._is_over(call)
        words = [(Word.PASSED, 0)] * len(call.slices)
        if not over:
            words = [self._serve(call.session_id, *named) for named in call.slices]
            self._counts.words.update(word.name for word, _ in words)
        await self._write()
        return Answer(self._epoch, over, states, words)

    def _is_over(self, call: Call) -> bool:
        # Whoever found the session over has set its slices aside, perhaps meanwhile.
        if call.session_id not in self._living:
            return True
        named = {workspace_id for workspace_id, _ in call.slices}
        sheets = [self._slices[name] for name in named & self._slices.keys()]
        latest = [sheet.latest(call.session_id) for sheet in sheets]
        return any(slice_ is not None and slice_.release_time is not None for slice_ in latest)

    def _close(self, closing: Closing) -> None:
        sheet, slices = (
            self._sheets.get(closing.workspace_id),
            self._slices.get(closing.workspace_id),
        )
        if sheet is None or slices is None:
            return
        key: SliceKey = closing.session_id, closing.closing.number
        owned = slices.of_caller(key, self._caller_id)
        # Of a slice that nobody has heard of, the first call may still come.
        may_come = closing.session_id in self._living and not slices.full(closing.session_id)
        if owned is None and not may_come:
            return
        slice_ = owned.slice if owned is not None else Slice(closing.closing.number)
        sheet.account, slice_ = close(sheet.account, slice_, closing.closing.keep)
        slices.put(closing.session_id, self._caller_id, slice_)

    def _serve(self, session_id: str, workspace_id: str, call: SliceCall) -> tuple[Word, int]:
        sheet = self._sheets.get(workspace_id)
        if sheet is None:
            return Word.PASSED, 0
        slices = self._slices[workspace_id]
        owned = slices.latest(session_id)

        def expire(account: Account) -> Account:
            sheet.account = account
            self._expire(sheet)
            return sheet.account

        settled = settle(
            sheet.account,
            None if owned is None else owned.slice,
            call,
            self._shared.get(workspace_id, _NOBODY).sessions + 1,
            full=slices.full(session_id),
            on_return=expire,
        )
        sheet.account = settled.account
        for slice_ in settled.slices:
            slices.put(session_id, self._caller_id, slice_)
        if settled.slices:
            self._note(sheet, call, settled)
        return settled.word, settled.granted

    def _note(self, sheet: Sheet, call: SliceCall, settled: Settled) -> None:
        self._counts.granted += settled.granted
        short = settled.word is Word.BUSY or (
            settled.word is Word.GRANTED and settled.granted < call.need
        )
        if short:
            self._recall(sheet.workspace_id)

    def _expire(self, sheet: Sheet) -> None:
        # What is due of open slices may come back, and expire, earlier than it is needed.
        if sheet.expire(EXPIRING.signature) and sheet.overdue:
            self._recall(sheet.workspace_id)

    def _recall(self, workspace_id: str) -> None:
        # What stands in closed slices is held, and can't be recalled.
        if not self._shared.get(workspace_id, _NOBODY).amount:
            return
        if self._recalls.due(workspace_id, self._posting.tx.time):
            self._counts.recalls += 1
            self._posting.announce(credits_of(workspace_id))

    async def _write(self) -> None:
        tx = self._posting.tx
        await tx.ledger.write([sheet.to_write for sheet in self._sheets.values() if sheet.changed])
        changes = [sheet.to_write() for sheet in self._slices.values()]
        await tx.slices.put([slice_ for put, _ in changes for slice_ in put])
        await tx.slices.forget([slice_ for _, forgotten in changes for slice_ in forgotten])
