"""Charges, closings and slices of one call, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain.books import Posting
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.charging import Charging
from keyauthority.domain.credits.entering import EXPIRING, credits_of, read_sheets
from keyauthority.domain.credits.spending import Answer, Call, Closing
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


async def open_settlement(
    posting: Posting, actor: Actor, call: Call, mine: Collection[str], recalls: Recalls
) -> Settlement:
    """Reads all that *call* is about, in a few statements, and locks the accounts."""
    tx = posting.tx
    epoch = (await tx.feed.head()).epoch
    sheets = await read_sheets(tx, sorted(call.workspace_ids))
    slices = await _slice_sheets(tx, sheets, call)
    asking = {workspace_id for workspace_id, one in call.slices if one.want or one.need}
    asking |= {workspace_id for workspace_id, sheet in sheets.items() if sheet.overdue}
    shared = await tx.slices.shared(asking, call.session_id) if asking else {}
    names = [one.name for one in call.charges]
    known = await tx.ledger.by_reference(names) if names else {}
    keys = {one.use.key_id for one in call.charges}
    homes = await tx.keys.homes(keys) if keys else {}
    session_id = call.session_id if call.session_id in mine else ""
    charges = Charging(actor.signature, sheets, slices, known, homes, session_id)
    return Settlement(posting, actor, epoch, sheets, slices, shared, charges, mine, recalls)


async def _slice_sheets(
    tx: Transaction, sheets: Mapping[str, Sheet], call: Call
) -> dict[str, SliceSheet]:
    sessions = {one for one in call.sessions if one[0] in sheets}
    there = await tx.slices.of_sessions(sessions) if sessions else []
    by_workspace: dict[str, list[OwnedSlice]] = {workspace_id: [] for workspace_id in sheets}
    for one in there:
        by_workspace[one.workspace_id].append(one)
    return {one: SliceSheet(one, slices) for one, slices in by_workspace.items()}


class Settlement:
    """One call in its transaction. What is read is of the locked accounts, *mine* are living sessions
    of the caller.
    """

    def __init__(
        self,
        posting: Posting,
        actor: Actor,
        epoch: int,
        sheets: Mapping[str, Sheet],
        slices: Mapping[str, SliceSheet],
        shared: Mapping[str, Shared],
        charges: Charging,
        mine: Collection[str],
        recalls: Recalls,
    ) -> None:
        self.counts = charges.counts
        self._posting = posting
        self._caller_id = actor.caller.id
        self._epoch = epoch
        self._sheets = sheets
        self._slices = slices
        self._shared = shared
        self._charges = charges
        self._mine = mine
        self._recalls = recalls

    async def run(self, call: Call) -> Answer:
        """Applies *call* and writes what it changes."""
        for sheet in self._sheets.values():
            self._expire(sheet)
        states = [self._charges.enter(one) for one in call.charges]
        for workspace_id in self._charges.cut:
            self._posting.announce(credits_of(workspace_id))
        for closing in call.closings:
            self._close(closing)
        for sheet in self._sheets.values():
            self._expire(sheet)
        over = bool(call.session_id) and self._is_over(call)
        words = [(Word.PASSED, 0)] * len(call.slices)
        if not over:
            words = [self._serve(call.session_id, *one) for one in call.slices]
            self.counts.words.update(word.name for word, _ in words)
        await self._write()
        return Answer(self._epoch, over, states, words)

    def _is_over(self, call: Call) -> bool:
        # Whoever found the session over has set its slices aside, perhaps meanwhile.
        if call.session_id not in self._mine:
            return True
        named = {workspace_id for workspace_id, _ in call.slices}
        latest = (self._slices[one].latest(call.session_id) for one in named & self._slices.keys())
        return any(one is not None and one.release_time is not None for one in latest)

    def _close(self, one: Closing) -> None:
        sheet, slices = self._sheets.get(one.workspace_id), self._slices.get(one.workspace_id)
        if sheet is None or slices is None:
            return
        key: SliceKey = one.session_id, one.closing.number
        owned = slices.of_caller(key, self._caller_id)
        # Of a slice that nobody has heard of, the first call may still come.
        may_come = one.session_id in self._mine and not slices.full(one.session_id)
        if owned is None and not may_come:
            return
        slice_ = owned.slice if owned is not None else Slice(one.closing.number)
        sheet.account, slice_ = close(sheet.account, slice_, one.closing.keep)
        slices.put(one.session_id, self._caller_id, slice_)

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
        self.counts.granted += settled.granted
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
            self.counts.recalls += 1
            self._posting.announce(credits_of(workspace_id))

    async def _write(self) -> None:
        tx = self._posting.tx
        await tx.ledger.write([one.to_write for one in self._sheets.values() if one.changed])
        changes = [one.to_write() for one in self._slices.values()]
        await tx.slices.put([one for put, _ in changes for one in put])
        await tx.slices.forget([one for _, forgotten in changes for one in forgotten])
