"""SpendingService."""

from __future__ import annotations

from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.prices import Prices
from keyauthority.rpc.service import Parts
from keyauthority.v1 import spending_service_pb2 as v1
from keyauthority.v1.price_rows import message_of


class SpendingServicer:
    """Serves those who spend credits."""

    def __init__(self, parts: Parts) -> None:
        self._prices = Prices(parts.books)

    async def Settle(self, request: v1.SettleRequest, actor: Actor) -> v1.SettleResponse:
        # Whoever asks for credits hears no word, and lets nobody spend.
        raise KeyAuthorityError(Reason.STORE_UNAVAILABLE, "there are no slices to spend from yet")

    async def ListCurrentPrices(
        self, request: v1.ListCurrentPricesRequest, actor: Actor
    ) -> v1.ListCurrentPricesResponse:
        head, prices = await self._prices.current()
        return v1.ListCurrentPricesResponse(
            epoch=head.epoch, revision=head.revision, prices=map(message_of, prices)
        )
