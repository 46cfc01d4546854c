"""An authority that keeps credits by the shipped escrow module, and may lose and repeat what is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import grpc

from keyauthority.escrow.slices import (
    Account,
    Part,
    Slice,
    SliceCall,
    SliceClosing,
    Word,
    charge,
    close,
    settle,
)
from keyauthority.v1 import price_pb2
from keyauthority.v1 import spending_service_pb2 as pb
from keyauthority.v1 import verification_service_pb2 as verification
from keyauthority.v1.spending_service_pb2_grpc import (
    SpendingServiceServicer,
    add_SpendingServiceServicer_to_server,
)
from keyauthority.v1.verification_service_pb2_grpc import (
    add_VerificationServiceServicer_to_server,
)
from tests.client.parts import Context, ScriptedAuthority

WORDS = {
    Word.GRANTED: pb.SLICE_WORD_GRANTED,
    Word.OUT: pb.SLICE_WORD_OUT,
    Word.BUSY: pb.SLICE_WORD_BUSY,
    Word.PASSED: pb.SLICE_WORD_PASSED,
}


@dataclass
class Ledger:
    """The credits of one workspace."""

    account: Account
    slices: dict[tuple[str, int], Slice] = field(default_factory=dict)
    entries: dict[str, pb.Charge] = field(default_factory=dict)
    over: int = 0
    late: int = 0
    short: int = 0

    @property
    def charged(self) -> int:
        """What all charges come to."""
        return sum(one.cost_nano_credits for one in self.entries.values())


class SpendingAuthority(ScriptedAuthority, SpendingServiceServicer):
    """Grants, and settles, as the contract says; loses answers as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.ledgers: dict[str, Ledger] = {}
        self.calls: list[pb.SettleRequest] = []
        self.synced: Callable[[verification.SyncRequest], None] = lambda _: None
        """Is told of each Sync when it arrives."""
        self.over_sessions: set[str] = set()
        self.unknown: set[str] = set()
        """References of charges that can't be entered."""
        self.prices: list[price_pb2.Price] = []
        self.price_calls = 0
        self.passed = 0
        """How many calls came for a slice that was passed, or closed."""
        self.stale_prices = 0
        """The state that the price table is said to be of; 0 is the newest."""
        self.before: Callable[[pb.SettleRequest], Awaitable[None]] | None = None
        """Runs before a call is applied: may wait."""
        self.late: Callable[[pb.SettleRequest], Awaitable[None]] | None = None
        """Runs after a call is applied: may keep its answer back."""
        self.invalid = ""
        """The model of charges that are against the contract."""
        self.lose: Callable[[pb.SettleRequest], bool] = lambda _: False
        """Whether the answer to a call is lost."""
        self.away = False
        """Whether all calls about credits fail."""
        self.too_many = False
        """Whether there have been too many charges: none is taken for now."""
        self.recalls = True
        """Whether the workspace's credits change when somebody has to wait for others."""

    def credit(self, workspace_id: str, amount: int) -> Ledger:
        ledger = self.ledgers.setdefault(workspace_id, Ledger(Account(0)))
        ledger.account = replace(ledger.account, balance=ledger.account.balance + amount)
        return ledger

    async def restore(self, ledgers: dict[str, int]) -> None:
        """Begins a new epoch, with these balances and nothing else."""
        self.epoch += 1
        self.ledgers = {name: Ledger(Account(balance)) for name, balance in ledgers.items()}
        await self.change()

    async def Sync(
        self, request: verification.SyncRequest, context: Context
    ) -> verification.SyncResponse:
        self.synced(request)
        answer = await super().Sync(request, context)
        answer.reset = answer.reset or self.reset
        return answer

    async def Settle(self, request: pb.SettleRequest, context: Context) -> pb.SettleResponse:
        if self.before is not None:
            await self.before(request)
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "as the test wants")
        if self.too_many and request.charges:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "as the test wants")
        if self.invalid and any(one.model == self.invalid for one in request.charges):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "as the test wants")
        self.calls.append(request)
        answer = self.apply(request)
        if self.late is not None:
            await self.late(request)
        if self.lose(request):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
        for call, one in zip(request.slices, answer.slices, strict=False):
            short = (
                one.word == pb.SLICE_WORD_BUSY or one.granted_nano_credits < call.need_nano_credits
            )
            if self.recalls and short and one.word != pb.SLICE_WORD_OUT:
                await self.change(f"{call.workspace_id}/credits")
        return answer

    def apply(self, request: pb.SettleRequest) -> pb.SettleResponse:
        answer = pb.SettleResponse(epoch=self.epoch)
        for one in request.charges:
            answer.charges.add(state=self._enter(one))
        for closing in request.closings:
            self._close(closing)
        if request.slices and request.session_id in self.over_sessions:
            answer.session_over = True
            return answer
        for call in request.slices:
            word, granted = self._settle(request.session_id, call)
            answer.slices.add(word=WORDS[word], granted_nano_credits=granted)
        return answer

    def _enter(self, one: pb.Charge) -> pb.ChargeState.ValueType:
        ledger = self.ledgers.get(one.workspace_id)
        if ledger is None or one.reference in self.unknown:
            return pb.CHARGE_STATE_UNKNOWN_KEY
        if one.reference in ledger.entries:
            return pb.CHARGE_STATE_KNOWN
        ledger.entries[one.reference] = one
        keys = [((part.session_id, part.number), part.nano_credits) for part in one.holds]
        parts = [Part(key, ledger.slices.get(key), held) for key, held in keys]
        charged = charge(ledger.account, one.cost_nano_credits, parts)
        ledger.account = charged.account
        ledger.slices |= charged.slices
        ledger.over += charged.over
        ledger.late += charged.late
        ledger.short += charged.short
        return pb.CHARGE_STATE_ENTERED

    def _close(self, closing: pb.SliceClosing) -> None:
        ledger = self.credit(closing.workspace_id, 0)
        key = closing.session_id, closing.number
        wanted = SliceClosing(closing.number, closing.keep_nano_credits)
        latest = self._latest(ledger, closing.session_id)
        there = ledger.slices.get(key)
        if there is None and latest is not None and closing.number < latest.number:
            return
        slice_ = there or Slice(closing.number)
        ledger.account, ledger.slices[key] = close(ledger.account, slice_, wanted.keep)

    def _settle(self, session_id: str, call: pb.SliceCall) -> tuple[Word, int]:
        ledger = self.credit(call.workspace_id, 0)
        latest = self._latest(ledger, session_id)
        sharers = len({session for session, _ in ledger.slices} | {session_id})
        asked = SliceCall(
            call.number,
            call.sequence,
            call.keep_nano_credits,
            call.want_nano_credits,
            call.need_nano_credits,
        )
        settled = settle(ledger.account, latest, asked, sharers)
        self.passed += settled.word is Word.PASSED
        ledger.account = settled.account
        for slice_ in settled.slices:
            ledger.slices[session_id, slice_.number] = slice_
        return settled.word, settled.granted

    def _latest(self, ledger: Ledger, session_id: str) -> Slice | None:
        numbers = [number for session, number in ledger.slices if session == session_id]
        return ledger.slices[session_id, max(numbers)] if numbers else None

    async def GetAvailable(
        self, request: pb.GetAvailableRequest, context: Context
    ) -> pb.GetAvailableResponse:
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        account = self.ledgers[request.workspace_id].account
        return pb.GetAvailableResponse(available_nano_credits=account.available)

    async def ListCurrentPrices(
        self, request: pb.ListCurrentPricesRequest, context: Context
    ) -> pb.ListCurrentPricesResponse:
        self.price_calls += 1
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "as the test wants")
        return pb.ListCurrentPricesResponse(
            epoch=self.epoch,
            revision=self.stale_prices or self.revision,
            prices=self.prices,
        )


@asynccontextmanager
async def serving(authority: SpendingAuthority) -> AsyncIterator[SpendingAuthority]:
    """*authority* at a port of its own."""
    server = grpc.aio.server()
    add_VerificationServiceServicer_to_server(authority, server)
    add_SpendingServiceServicer_to_server(authority, server)
    authority.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield authority
    finally:
        authority.door.set()
        await server.stop(None)


def settled(ledger: Ledger) -> Callable[[], bool]:
    """Whether nothing stands in slices."""
    return lambda: ledger.account.escrowed == 0
