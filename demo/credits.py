"""The demo's credits: what its models cost, and what its workspace has to begin with."""

from __future__ import annotations

from typing import Final

from keyauthority.client.admin import BlockingAdminClient, ledger, prices
from keyauthority.client.admin.records import NewPrice
from keyauthority.pricing.amounts import NANO
from keyauthority.pricing.prices import Rates

CREDITS: Final = 5
PREMIUM: Final = "opentoken/premium"
"""A model so dear that two requests spend all credits."""

_ALL: Final = "*"
_PRICES: Final = (
    NewPrice(_ALL, _ALL, Rates(input=NANO, output=4 * NANO)),
    NewPrice(
        "google/gemini-3-flash",
        _ALL,
        Rates(input=NANO * 3 // 10, cached_input=NANO * 3 // 100, output=NANO * 5 // 2),
    ),
    NewPrice(PREMIUM, _ALL, Rates(request=4 * NANO)),
)


def endow(client: BlockingAdminClient, workspace_id: str) -> None:
    """Sets prices where there are none, and adds the first credits to the workspace, once."""
    if not client.call(prices.page(size=1)).records:
        client.call(prices.set_all(_PRICES))
    purchase = "demo"
    client.call(ledger.top_up(workspace_id, CREDITS * NANO, purchase, note="to begin with"))
