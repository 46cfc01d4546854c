"""LedgerService."""

from __future__ import annotations

from typing import TypeVar

from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.charging import Charge, cleaned
from keyauthority.domain.credits.crediting import Crediting, Purchase
from keyauthority.domain.credits.pricing import NewPrice, Prices
from keyauthority.domain.credits.reading import ReadingLedger
from keyauthority.domain.credits.recording import Recording, ToRecord
from keyauthority.domain.credits.refunding import Refunding
from keyauthority.domain.credits.summarizing import Question, Summarizing
from keyauthority.domain.errors import in_entry, invalid
from keyauthority.domain.ledger import Credited, Entry, EntryFilter, Kind, Use, makes_grant
from keyauthority.domain.sessions import Receipt
from keyauthority.domain.usage import Group, UsageSum
from keyauthority.escrow.grants import PRIORITY, Grant
from keyauthority.escrow.slices import Account
from keyauthority.pricing.prices import Price
from keyauthority.rpc import convert
from keyauthority.rpc.service import Parts
from keyauthority.v1 import ledger_service_pb2 as v1
from keyauthority.v1 import price_pb2
from keyauthority.v1.price_rows import message_of, rates_of
from keyauthority.v1.wire import timestamp

Response = TypeVar("Response", v1.TopUpResponse, v1.AdjustResponse, v1.RefundResponse)


class LedgerServicer:
    """Serves those who bill."""

    def __init__(self, parts: Parts) -> None:
        self._crediting = Crediting(parts.books, parts.metrics.settled)
        self._refunding = Refunding(parts.books, parts.metrics.settled)
        self._reading = ReadingLedger(parts.books)
        self._summarizing = Summarizing(parts.books)
        self._prices = Prices(parts.books)
        self._recording = Recording(parts.books, parts.metrics.settled)
        self._pages = parts.pages

    async def TopUp(self, request: v1.TopUpRequest, actor: Actor) -> v1.TopUpResponse:
        purchase = Purchase(
            request.purchase_id,
            request.amount_nano_credits,
            request.priority if request.HasField("priority") else PRIORITY,
            convert.time_of(request, "expire_time"),
            request.promotional,
            request.note,
            convert.length_of(request, "ttl"),
        )
        credited, receipt = await self._crediting.top_up(actor, request.workspace_id, purchase)
        return _credited(v1.TopUpResponse, credited, receipt)

    async def Adjust(self, request: v1.AdjustRequest, actor: Actor) -> v1.AdjustResponse:
        credited, receipt = await self._crediting.adjust(
            actor,
            request.workspace_id,
            request.amount_nano_credits,
            request.reason,
            request.reference,
        )
        return _credited(v1.AdjustResponse, credited, receipt)

    async def Refund(self, request: v1.RefundRequest, actor: Actor) -> v1.RefundResponse:
        credited, receipt = await self._refunding.refund(
            actor,
            request.workspace_id,
            request.subject,
            request.amount_nano_credits if request.HasField("amount_nano_credits") else None,
            request.reference,
            request.note,
        )
        return _credited(v1.RefundResponse, credited, receipt)

    async def RecordCharges(
        self, request: v1.RecordChargesRequest, actor: Actor
    ) -> v1.RecordChargesResponse:
        charges = [_to_record(one) for one in request.charges]
        recorded, receipt = await self._recording.record(actor, charges)
        return v1.RecordChargesResponse(
            charges=[
                v1.RecordedChargeAnswer(
                    state=convert.number_of(one.state), cost_nano_credits=one.cost
                )
                for one in recorded
            ],
            receipt=convert.receipt(receipt),
        )

    async def GetBalance(
        self, request: v1.GetBalanceRequest, actor: Actor
    ) -> v1.GetBalanceResponse:
        account = await self._reading.account(actor, request.workspace_id)
        return v1.GetBalanceResponse(balance=_balance(account))

    async def ListEntries(
        self, request: v1.ListEntriesRequest, actor: Actor
    ) -> v1.ListEntriesResponse:
        page = self._pages.of(request, actor)
        which = EntryFilter(
            request.workspace_id,
            convert.member_of(Kind, request.kind, "kind") if request.kind else None,
            request.key_id,
            request.model,
            request.reference,
            convert.time_of(request, "start_time"),
            convert.time_of(request, "end_time"),
        )
        records = await self._reading.page(actor, which, page.limit, page.after)
        entries, token = self._pages.cut(page, records, lambda entry: entry.number)
        granted = await self._reading.granted(request.workspace_id, entries)
        messages = [
            _entry(entry, granted.get(entry.subject) if makes_grant(entry) else None)
            for entry in entries
        ]
        return v1.ListEntriesResponse(entries=messages, next_page_token=token)

    async def SummarizeUsage(
        self, request: v1.SummarizeUsageRequest, actor: Actor
    ) -> v1.SummarizeUsageResponse:
        question = Question(
            request.workspace_id,
            convert.time_of(request, "start_time"),
            convert.time_of(request, "end_time"),
            tuple(convert.member_of(Group, number, "group_by") for number in request.group_by),
            request.time_zone,
        )
        sums, truncated = await self._summarizing.summarize(actor, question)
        return v1.SummarizeUsageResponse(sums=map(_usage_sum, sums), truncated=truncated)

    async def SetPrices(self, request: v1.SetPricesRequest, actor: Actor) -> v1.SetPricesResponse:
        placed, receipt = await self._prices.set(actor, _new_prices(request))
        return v1.SetPricesResponse(
            prices=map(message_of, placed.prices),
            receipt=convert.receipt(receipt),
            added=placed.added,
        )

    async def ListPrices(
        self, request: v1.ListPricesRequest, actor: Actor
    ) -> v1.ListPricesResponse:
        page = self._pages.of(request, actor)
        records = await self._prices.page(page.limit, page.cursor)
        prices, token = self._pages.cut(page, records, _place)
        return v1.ListPricesResponse(prices=map(message_of, prices), next_page_token=token)

    async def VerifyLedger(
        self, request: v1.VerifyLedgerRequest, actor: Actor
    ) -> v1.VerifyLedgerResponse:
        proof = await self._reading.prove(actor, request.workspace_id)
        return v1.VerifyLedgerResponse(
            entries=proof.entries, balance=_balance(proof.account), faults=proof.faults
        )


def _usage_sum(one: UsageSum) -> v1.UsageSum:
    return v1.UsageSum(
        day=one.day.isoformat() if one.day else "",
        key_id=one.key_id,
        model=one.model,
        cost_nano_credits=one.cost,
        charges=one.charges,
        estimated=one.estimated,
        counts=one.counts,
        refunded_nano_credits=one.refunded,
    )


def _new_prices(request: v1.SetPricesRequest) -> list[NewPrice]:
    rows = []
    for index, message in enumerate(request.prices):
        with in_entry("prices", index):
            rows.append(_new_price(message))
    return rows


def _new_price(message: price_pb2.Price) -> NewPrice:
    try:
        rates = rates_of(message.rates)
    except ValueError as error:
        raise invalid("rates", f"are no price: {error}") from None
    time = convert.time_of(message, "effective_time")
    return NewPrice(message.model, message.path, time, rates)


def _place(price: Price) -> tuple[str, str]:
    return price.effective_time.isoformat(), price.id


def _to_record(one: v1.RecordedCharge) -> ToRecord:
    use = Use(
        key_id=one.key_id,
        model=one.model,
        path=one.path,
        request_id=one.request_id,
        counts=dict(one.counts),
        status=one.status,
    )
    cost, time = one.cost_nano_credits, convert.time_of(one, "time")
    charge = Charge(one.reference, one.workspace_id, cost, use=cleaned(use), time=time)
    return ToRecord(charge, one.HasField("cost_nano_credits"))


def _credited(response: type[Response], credited: Credited, receipt: Receipt) -> Response:
    return response(
        entry=_entry(credited.entry, credited.granted),
        balance=_balance(credited.account),
        receipt=convert.receipt(receipt),
    )


def _balance(account: Account) -> v1.Balance:
    return v1.Balance(
        balance_nano_credits=account.balance,
        escrowed_nano_credits=account.escrowed,
        available_nano_credits=account.available,
    )


def _entry(entry: Entry, granted: Grant | None) -> v1.LedgerEntry:
    return v1.LedgerEntry(
        workspace_id=entry.workspace_id,
        number=entry.number,
        kind=convert.number_of(entry.kind),
        amount_nano_credits=entry.amount,
        balance_nano_credits=entry.balance,
        reference=entry.reference,
        time=timestamp(entry.time),
        subject=entry.subject,
        note=entry.note,
        caller_id=entry.caller_id,
        caller_name=entry.caller_name,
        person_id=entry.person_id,
        person_name=entry.person_name,
        use=_use(entry.use) if entry.kind is Kind.CHARGE else None,
        terms=None if granted is None else _terms(granted),
    )


def _terms(granted: Grant) -> v1.LedgerTerms:
    expire_time = granted.expire_time
    return v1.LedgerTerms(
        priority=granted.priority,
        expire_time=None if expire_time is None else timestamp(expire_time),
        promotional=granted.promotional,
    )


def _use(use: Use) -> v1.LedgerUse:
    return v1.LedgerUse(
        key_id=use.key_id,
        model=use.model,
        path=use.path,
        request_id=use.request_id,
        counts=use.counts,
        price_id=use.price_id,
        held_nano_credits=use.held,
        estimated=use.estimated,
        status=use.status,
        session_id=use.session_id,
    )
