"""Makes what bills requests, by the gateway's settings."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import Final

import structlog

from gateway.bill_metrics import BillCounters
from gateway.billing.billing import Billing
from gateway.billing.bodies import Bodies
from gateway.billing.prices import prices_of
from gateway.billing.reading import Reader
from gateway.config import Settings
from gateway.metering.going_by import Pricing
from gateway.observe import Metrics
from keyauthority.base.process.lifecycle import StartError
from keyauthority.client import Spender, SpendingUnavailable, SpoolError, Verifier
from keyauthority.edge.envelope import Refusal

_EXHAUSTED: Final = {
    402: Refusal.CREDIT_BALANCE_EXHAUSTED,
    429: Refusal.CREDIT_BALANCE_EXHAUSTED_429,
}

_DO: Final = (
    "requests are answered model_not_priced until there is a price: keyauthority prices set"
    " --model gpt-5 --path '/v1/*' --input 1.25 --output 10"
)

_log = structlog.get_logger("gateway.billing")


async def open_billing(
    settings: Settings, verifier: Verifier, metrics: Metrics, stack: AsyncExitStack
) -> Billing | None:
    """Returns what bills requests until *stack* is closed; None: they cost nothing.

    Raises `StartError` if no spool can be made.
    """
    if settings.billing == "off":
        return None
    metrics.bills = BillCounters()
    spender = None
    if settings.billing == "observe":
        prices = await stack.enter_async_context(prices_of(verifier))
        lookup, table = prices.find, prices.table
    else:
        spender = metrics.spender = await _spender(settings, verifier, stack)
        lookup, table = spender.price, spender.price_table
    with suppress(SpendingUnavailable):
        if not await table():
            _log.warning("no_prices", do=_DO)
    pricing = Pricing(
        lookup,
        holds_limit=settings.hold == "full",
        allows_default=settings.unpriced == "default",
    )
    return Billing(
        spender,
        Reader(pricing, table),
        Bodies(settings.limits.max_metered_body_bytes, refuses=spender is not None),
        metrics.bills,
        _EXHAUSTED[settings.exhausted_status],
        holds_all=settings.hold == "full",
    )


async def _spender(settings: Settings, verifier: Verifier, stack: AsyncExitStack) -> Spender:
    assert settings.spool is not None  # noqa: S101 - the settings are checked
    try:
        spender = Spender(verifier, settings.spool, archive_bytes=settings.spool_archive_bytes)
        return await stack.enter_async_context(spender)
    except SpoolError as error:
        raise StartError(str(error)) from None
