"""The prices alone, for a gateway that holds and charges nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from keyauthority.client import SpendingCounters, Verifier
from keyauthority.client.spending.calling import Calling
from keyauthority.client.spending.price_table import SUBJECT, Prices

_TIMEOUT: Final = 1.0


@asynccontextmanager
async def prices_of(verifier: Verifier) -> AsyncIterator[Prices]:
    """Has the price table of the authority while the context lasts."""
    calling = Calling(verifier.connection, _TIMEOUT, SpendingCounters())
    prices = Prices(verifier, calling, _TIMEOUT)

    def changed(subjects: frozenset[str] | None) -> None:
        if subjects is None or SUBJECT in subjects:
            prices.drop()

    verifier.listeners.append(changed)
    reading = asyncio.create_task(prices.run())
    try:
        yield prices
    finally:
        verifier.listeners.remove(changed)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
