"""SpendingService."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.charging import (
    ID_LENGTH,
    MODEL_LENGTH,
    PATH_LENGTH,
    Charge,
    cleaned,
)
from keyauthority.domain.credits.pricing import Prices
from keyauthority.domain.credits.reading import ReadingLedger
from keyauthority.domain.credits.settling import Settling
from keyauthority.domain.credits.spending import Call, Closing
from keyauthority.domain.errors import invalid
from keyauthority.domain.ledger import Use
from keyauthority.escrow.slices import SliceCall, SliceClosing
from keyauthority.rpc import convert
from keyauthority.rpc.service import Parts
from keyauthority.v1 import spending_service_pb2 as v1
from keyauthority.v1.price_rows import message_of

Message = TypeVar("Message")
Value = TypeVar("Value")


class SpendingServicer:
    """Serves verifiers that spend credits."""

    def __init__(self, parts: Parts) -> None:
        self._ledger = ReadingLedger(parts.books)
        self._prices = Prices(parts.books)
        self._settling = Settling(
            parts.books, parts.store.sessions, parts.charge_rates, parts.metrics.settled
        )

    async def Settle(self, request: v1.SettleRequest, actor: Actor) -> v1.SettleResponse:
        answer = await self._settling.settle(actor, _call(request))
        return v1.SettleResponse(
            epoch=answer.epoch,
            session_over=answer.session_over,
            charges=[v1.ChargeAnswer(state=convert.number_of(state)) for state in answer.charges],
            slices=[
                v1.SliceAnswer(word=convert.number_of(word), granted_nano_credits=granted)
                for word, granted in answer.slices
            ],
        )

    async def GetAvailable(
        self, request: v1.GetAvailableRequest, actor: Actor
    ) -> v1.GetAvailableResponse:
        account = await self._ledger.account(actor, request.workspace_id)
        return v1.GetAvailableResponse(available_nano_credits=account.available)

    async def ListCurrentPrices(
        self, request: v1.ListCurrentPricesRequest, actor: Actor
    ) -> v1.ListCurrentPricesResponse:
        head, prices = await self._prices.current()
        return v1.ListCurrentPricesResponse(
            epoch=head.epoch, revision=head.revision, prices=map(message_of, prices)
        )


def _call(request: v1.SettleRequest) -> Call:
    return Call(
        request.session_id,
        [_charge(one) for one in request.charges],
        _each("closings", request.closings, _closing),
        _each("slices", request.slices, _slice),
    )


def _charge(one: v1.Charge) -> Charge:
    parts = [((part.session_id, part.number), part.nano_credits) for part in one.holds]
    # Of what clients chose the rest is cut off.
    use = Use(
        one.key_id,
        one.model[:MODEL_LENGTH],
        one.path[:PATH_LENGTH],
        one.request_id[:ID_LENGTH],
        dict(one.counts),
        one.price_id,
        sum([held for _, held in parts]),
        one.estimated,
        one.status,
    )
    return Charge(one.reference, one.workspace_id, one.cost_nano_credits, parts, cleaned(use))


def _closing(one: v1.SliceClosing) -> Closing:
    closing = SliceClosing(one.number, one.keep_nano_credits)
    return Closing(one.workspace_id, one.session_id, closing)


def _slice(one: v1.SliceCall) -> tuple[str, SliceCall]:
    return one.workspace_id, SliceCall(
        one.number,
        one.sequence,
        one.keep_nano_credits,
        one.want_nano_credits,
        one.need_nano_credits,
    )


def _each(
    name: str, messages: Iterable[Message], value_of: Callable[[Message], Value]
) -> list[Value]:
    values = []
    for index, message in enumerate(messages):
        try:
            values.append(value_of(message))
        except ValueError as error:
            raise invalid(f"{name}[{index}]", f"can't be: {error}") from None
    return values
