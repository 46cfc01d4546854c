"""The shipped authority's side on books in memory, and the promises that are looked at in each state."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from keyauthority.config import CHARGES_PER_SECOND
from keyauthority.domain.books import Books
from keyauthority.domain.callers import Actor, operator
from keyauthority.domain.credits.charge_rates import ChargeRates
from keyauthority.domain.credits.charging import Counts
from keyauthority.domain.credits.crediting import Crediting, Purchase
from keyauthority.domain.credits.reading import ReadingLedger
from keyauthority.domain.credits.releasing import Releasing
from keyauthority.domain.credits.replaying import Exported
from keyauthority.domain.credits.settling import Settling
from keyauthority.domain.ledger import Kind, makes_grant
from keyauthority.domain.restoring import RESTORE, Restoring
from keyauthority.domain.sessions import Claim, Grant, Receipt
from keyauthority.escrow.slices import Account, SliceKey
from keyauthority.rpc import convert
from keyauthority.rpc.spending import _call
from keyauthority.storage.memory import MemoryStore
from keyauthority.storage.memory.books import LEASE
from keyauthority.storage.memory.books import Books as State
from keyauthority.v1 import spending_service_pb2 as pb
from tests.conformance.records import START, a_caller, a_key, a_workspace
from tests.credits.virtual import now
from tests.domain.parts import an_actor
from tests.transactions import changing

WORKSPACE: Final = "ws_1"
WAIT: Final = LEASE.total_seconds() * 1.1
"""W: after so many seconds no lease is in force that was granted before."""

VERIFIER: Final = Actor(a_caller(), "SpendingService.Settle", "192.0.2.1", "request-1")
BILLER: Final = an_actor()

Slices = dict[SliceKey, int]
Backup = tuple[State, Counts, int]


class Clock:
    """The virtual time as a date."""

    def now(self) -> datetime:
        return START + timedelta(seconds=now())


class Authority:
    """Serves verifiers by the shipped domain, and is restored from backups. It is its own fence."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.store = MemoryStore(Clock())
        self.books = Books(self.store, self)
        self.counts = Counts()
        rates = ChargeRates(CHARGES_PER_SECOND, now)
        self.settling = Settling(self.books, self.store.sessions, rates, self.counts)
        self.crediting = Crediting(self.books)
        self.releasing = Releasing(self.books, self.store.sessions)
        self.broken = ""
        """The promise that was broken; empty if none was."""
        self.cut = 0
        """What reductions took beyond what was available."""
        self.returned = 0
        """What was given back of slices whose sessions were over."""
        self.restores = 0
        self.void: set[tuple[str, int]] = set()
        """Slices that were given back, or voided by a restore."""
        self.begun: dict[tuple[str, int], float] = {}
        self.granted: dict[tuple[str, int], float] = {}
        """When slices were asked for first, and granted to last."""
        self.reductions: list[tuple[float, float]] = []
        """When each was committed, and when it returned."""
        self.credited: dict[str, int] = {}
        """What was topped up and adjusted, by reference: what must be there at the end."""
        self.balances: list[tuple[float, int, int]] = []
        """The balance, and what was available, from each time on."""
        self._settled_at = 0.0
        self._news = asyncio.Event()

    async def begin(self, amount: int) -> None:
        async with changing(self.store) as tx:
            await tx.workspaces.insert(a_workspace(WORKSPACE))
            await tx.callers.insert(a_caller())
            await tx.keys.insert(a_key())
        await self.top_up("purchase-0", amount)

    def breaks(self, promise: str) -> None:
        """A promise is broken: the first one counts."""
        self.broken = self.broken or promise

    # --- verifiers

    async def sync(self, session_id: str, claim: Claim, wait: float) -> Grant:
        """Grants a lease; waits for a change if there is none, at most so many seconds."""
        sessions, caller = self.store.sessions, VERIFIER.caller.id
        if not session_id:
            return await sessions.join(caller, "verifier", claim)
        grant = await sessions.renew(session_id, caller, claim)
        if grant.subjects == ():
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()
            grant = await sessions.renew(session_id, caller, claim)
        return grant

    async def settle(self, request: pb.SettleRequest) -> pb.SettleResponse:
        call, granted_before = _call(request), self.counts.granted
        answer = await self.settling.settle(VERIFIER, call)
        for (_, one), (_, granted) in zip(call.slices, answer.slices, strict=True):
            key = call.session_id, one.number
            self.begun.setdefault(key, now())
            if granted:
                self.granted[key] = now()
        self._look()
        if self.counts.granted > granted_before and self.account.available < 0:
            self.breaks("a grant took what is available below zero")
        return pb.SettleResponse(
            epoch=answer.epoch,
            session_over=answer.session_over,
            charges=[pb.ChargeAnswer(state=convert.number_of(one)) for one in answer.charges],
            slices=[
                pb.SliceAnswer(word=convert.number_of(word), granted_nano_credits=granted)
                for word, granted in answer.slices
            ],
        )

    # --- the fence

    def announce(self, _revision: int) -> None:
        """Those who wait for changes look."""
        self._news.set()
        self._news = asyncio.Event()

    async def wait(self, revision: int) -> Receipt:
        """Returns when each session has applied *revision*, or its leases are over.

        A wait that a restore interrupts ends, too: whoever waits sees the new epoch.
        """
        self._look()
        self.announce(revision)
        epoch = self.epoch
        while self.epoch == epoch and (  # noqa: ASYNC110 - time is virtual
            now() < self._settled_at or await self._are_behind(revision)
        ):
            await asyncio.sleep(0.2)
        return Receipt(revision)

    async def _are_behind(self, revision: int) -> bool:
        return any(
            one.acknowledged < revision and not self._is_over(one.sync_time)
            for one in await self.store.sessions.all()
        )

    def _is_over(self, sync_time: datetime) -> bool:
        return START + timedelta(seconds=now()) > sync_time + timedelta(seconds=WAIT)

    # --- billers and operators

    async def top_up(self, purchase: str, amount: int) -> None:
        self.credited[purchase] = amount
        await self.crediting.top_up(BILLER, WORKSPACE, Purchase(purchase, amount))

    async def reduce(self, reference: str, amount: int) -> None:
        """Takes *amount* away, and says when that is in force."""
        begun, epoch, before = now(), self.epoch, self.account.available
        known = await self._has(reference)
        self.credited[reference] = -amount
        if not known:
            self.cut += max(amount - max(before, 0), 0)
        await self.crediting.adjust(BILLER, WORKSPACE, -amount, "a test", reference)
        if not known and self.epoch == epoch:
            self.reductions.append((begun, now()))

    async def repeat_credits(self) -> None:
        """Repeats all top-ups and reductions, as whoever made them does after a restore."""
        for reference, amount in list(self.credited.items()):
            if amount > 0:
                await self.top_up(reference, amount)
            else:
                await self.reduce(reference, -amount)

    def back_up(self) -> Backup:
        """A backup, with what had gone beyond the holds by then."""
        return self.state, replace(self.counts), self.cut

    async def restore(self, backup: Backup, exported: Backup) -> None:
        """The books are again as they were, in a new epoch, with what was *exported* since."""
        self.restores += 1
        epoch = self.epoch
        self.store._books = replace(backup[0], epoch=epoch)
        state, counts, self.cut = exported
        self.counts.over, self.counts.late = counts.over, counts.late
        self._settled_at = now() + WAIT
        self.void.update(self.begun)
        ledgers = {WORKSPACE: _export(state)}
        await Restoring(self.books).restore(operator(RESTORE), [], ledgers=ledgers)

    def restart(self) -> None:
        """Its sessions are gone, and it waits for leases that it does not know."""
        self.store.sessions.clear()
        self._settled_at = now() + WAIT

    async def tidy(self) -> None:
        """One round of housekeeping: the janitor of sessions, then what dead verifiers left."""
        for one in await self.store.sessions.all():
            if self._is_over(one.sync_time):
                await self.store.sessions.leave(one.id, one.caller_id)
        before = self.slices()
        await self.releasing.set_aside()
        for workspace_id in await self.releasing.due():
            await self.releasing.release(workspace_id)
        left = self.slices()
        gone = {key: amount for key, amount in before.items() if key not in left}
        self.returned += sum(gone.values())
        self.void.update(gone)
        self._look()

    # --- what it says

    @property
    def state(self) -> State:
        return self.store._open()

    @property
    def epoch(self) -> int:
        return self.state.epoch

    @property
    def account(self) -> Account:
        return self.state.accounts.get(WORKSPACE, Account(0))

    def slices(self) -> Slices:
        """What stands in each."""
        return {one.key: one.slice.amount for one in self.state.slices.values()}

    def charges(self) -> dict[str, int]:
        """What each charge cost, by reference."""
        entries = self.state.entries.get(WORKSPACE, ())
        return {one.reference: -one.amount for one in entries if one.kind is Kind.CHARGE}

    def lowest(self, since: float) -> tuple[int, int]:
        """The lowest balance and the least that was available, from the time *since* on."""
        first = max((n for n, one in enumerate(self.balances) if one[0] <= since), default=0)
        later = self.balances[first:]
        return min(one[1] for one in later), min(one[2] for one in later)

    async def prove(self) -> None:
        """The ledger adds up."""
        proof = await ReadingLedger(self.books).prove(BILLER, WORKSPACE)
        if proof.faults:
            self.breaks(f"the ledger does not add up: {proof.faults}")

    async def _has(self, reference: str) -> bool:
        return any(one.reference == reference for one in self.state.entries.get(WORKSPACE, ()))

    def _look(self) -> None:
        account, counts = self.account, self.counts
        self.balances.append((now(), account.balance, account.available))
        beyond = counts.over + counts.late + counts.cut + self.cut
        promises = {
            "escrowed is not the sum of the slices": account.escrowed
            == sum(self.slices().values()),
            "a slice lacked what was held in it": not counts.short,
            "the balance is below its bound": account.balance >= -beyond,
            "more is set apart than there is": account.available >= -beyond,
            "more was late than was given back": self.restores > 0 or counts.late <= self.returned,
        }
        for promise, holds in promises.items():
            if not holds:
                self.breaks(promise)


def _export(state: State) -> list[Exported]:
    grants = state.grants.get(WORKSPACE, {})
    return [
        Exported(one, grants[one.subject].terms if makes_grant(one) else None)
        for one in state.entries.get(WORKSPACE, ())
    ]
