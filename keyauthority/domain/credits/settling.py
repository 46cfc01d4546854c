"""Serving verifiers that spend the credits of workspaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from keyauthority.domain.books import Books, Posting
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.charge_rates import ChargeRates
from keyauthority.domain.credits.charging import ChargeState, Charging, Counts, is_valid
from keyauthority.domain.credits.entering import EXPIRING, credits_of
from keyauthority.domain.credits.locking import Locked, lock
from keyauthority.domain.credits.recalls import Recalls
from keyauthority.domain.credits.spending import Answer, Call, Closing, check
from keyauthority.domain.gathering import Gathering
from keyauthority.domain.ports import Sessions
from keyauthority.domain.sheets import Sheet
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

TOGETHER: Final = 100
"""The most charges, closings and slices of calls that share a transaction: whoever asks for credits must
not wait for another's long list. A larger call goes alone.
"""

BATCHES: Final = 2
"""How many transactions of such calls are under way at a time, in one process."""


@dataclass(frozen=True, slots=True)
class _Brought:
    """A call, and who makes it."""

    actor: Actor
    call: Call


class Settling:
    """Serves verifiers that spend. Calls that wait go into the books together.

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
        self._calls: Gathering[_Brought, Answer] = Gathering(
            self._settle, size=lambda one: one.call.size, most=TOGETHER, at_once=BATCHES
        )

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
        valid = [charge for charge in call.charges if is_valid(charge)]
        if len(valid) == len(call.charges):
            return await self._calls.do(_Brought(actor, call))
        answer = await self._calls.do(_Brought(actor, replace(call, charges=valid)))
        self._counts.charges[ChargeState.REFUSED] += len(call.charges) - len(valid)
        states = iter(answer.charges)
        charges = [
            next(states) if is_valid(charge) else ChargeState.REFUSED for charge in call.charges
        ]
        return replace(answer, charges=charges)

    async def _settle(self, brought: Sequence[_Brought]) -> list[Answer]:
        named = {session_id for one in brought for session_id in one.call.spending}
        owners = await self._sessions.callers_of(named)

        async def work(posting: Posting) -> tuple[list[Answer], list[Counts], dict[str, datetime]]:
            locked = await lock(posting.tx, [one.call for one in brought])
            batch = _Batch(posting, owners, locked, self._recalls)
            settlements = [_Settlement(batch, one.actor, one.call) for one in brought]
            answers = [settlement.run() for settlement in settlements]
            await locked.write(posting.tx)
            return answers, [settlement.counts for settlement in settlements], batch.recalled

        answers, counts, recalled = await self._books.post(work)
        for one in counts:
            self._counts.add(one)
        for workspace_id, time in recalled.items():
            self._recalls.note(workspace_id, time)
        return answers


@dataclass(frozen=True, slots=True)
class _Batch:
    """What calls have in common that share a transaction."""

    posting: Posting
    # The caller's id of each session that lives.
    owners: Mapping[str, str]
    locked: Locked
    recalls: Recalls
    # When the batch recalled what verifiers have of a workspace's credits, by its id.
    recalled: dict[str, datetime] = field(default_factory=dict)

    def recall(self, workspace_id: str) -> bool:
        """Recalls what verifiers have of the credits, unless that was done lately; returns whether."""
        time = self.posting.tx.time
        if workspace_id in self.recalled or not self.recalls.are_due(workspace_id, time):
            return False
        self.recalled[workspace_id] = time
        self.posting.announce(credits_of(workspace_id))
        return True


class _Settlement:
    """One call of a batch."""

    def __init__(self, batch: _Batch, actor: Actor, call: Call) -> None:
        locked = batch.locked
        self._batch = batch
        self._caller_id = actor.caller.id
        self._call = call
        self._sheets = locked.sheets
        self._slices = locked.slices
        session_id = call.session_id if self._lives(call.session_id) else ""
        self._charging = Charging(
            actor.signature, locked.sheets, locked.slices, locked.known, locked.homes, session_id
        )
        self.counts = self._charging.counts

    def run(self) -> Answer:
        """Applies the call to what is locked."""
        call = self._call
        mine = [self._sheets[name] for name in call.workspace_ids if name in self._sheets]
        for sheet in mine:
            self._expire(sheet)
        states = [self._charging.enter(charge) for charge in call.charges]
        for workspace_id in self._charging.cut:
            self._batch.posting.announce(credits_of(workspace_id))
        for closing in call.closings:
            self._close(closing)
        for sheet in mine:
            self._expire(sheet)
        over = bool(call.session_id) and self._is_over()
        words = [(Word.PASSED, 0)] * len(call.slices)
        if not over:
            words = [self._serve(*named) for named in call.slices]
            self.counts.words.update(word.name for word, _ in words)
        for sheet in mine:
            self._slices[sheet.workspace_id].forget()
        return Answer(self._batch.locked.epoch, over, states, words)

    def _lives(self, session_id: str) -> bool:
        return self._batch.owners.get(session_id) == self._caller_id

    def _is_over(self) -> bool:
        # Whoever found the session over has set its slices aside, perhaps meanwhile.
        session_id = self._call.session_id
        if not self._lives(session_id):
            return True
        named = {workspace_id for workspace_id, _ in self._call.slices}
        sheets = [self._slices[name] for name in named & self._slices.keys()]
        latest = [sheet.latest(session_id) for sheet in sheets]
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
        may_come = self._lives(closing.session_id) and not slices.full(closing.session_id)
        if owned is None and not may_come:
            return
        slice_ = owned.slice if owned is not None else Slice(closing.closing.number)
        sheet.account, slice_ = close(sheet.account, slice_, closing.closing.keep)
        slices.put(closing.session_id, self._caller_id, slice_)

    def _serve(self, workspace_id: str, call: SliceCall) -> tuple[Word, int]:
        sheet = self._sheets.get(workspace_id)
        if sheet is None:
            return Word.PASSED, 0
        session_id, slices = self._call.session_id, self._slices[workspace_id]
        owned = slices.latest(session_id)

        def expire(account: Account) -> Account:
            sheet.account = account
            self._expire(sheet)
            return sheet.account

        settled = settle(
            sheet.account,
            None if owned is None else owned.slice,
            call,
            self._batch.locked.shared(workspace_id, session_id).sessions + 1,
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
        shared = self._batch.locked.shared(workspace_id, self._call.session_id)
        if shared.amount and self._batch.recall(workspace_id):
            self.counts.recalls += 1
