"""What is promised of money, seen from outside: nobody is exempt, nothing twice, one price everywhere."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientSession, web

from keyauthority.edge.envelope import Refusal
from keyauthority.pricing import amounts
from keyauthority.pricing.amounts import NANO
from keyauthority.v1.ledger_service_pb2 import SummarizeUsageRequest, TopUpRequest
from tests.billing.parts import CHAT, Account, Books, Client, Upstream, completion, cost, question
from tests.rpc.parts import Authority


async def test_who_is_rich_is_held_for_too(
    http: ClientSession, url: str, books: Books, upstream: Upstream
) -> None:
    """No balance is large enough to run without a hold."""
    account = await books.account(10**6 * NANO)
    answer = asyncio.Event()

    async def wait(_: web.BaseRequest, __: dict[str, Any]) -> web.StreamResponse:
        await answer.wait()
        return web.json_response(completion((11, 7)))

    upstream.respond = wait
    asking = asyncio.create_task(Client(http, url, account).chat(max_tokens=100))
    await upstream.reached.wait()

    assert (await account.balance()).escrowed_nano_credits >= cost(11, 100)
    answer.set()
    assert (await asking)[0] == 200
    assert (await account.charge()).use.held_nano_credits >= cost(11, 100)


async def test_the_authoritys_own_token_buys_nothing(
    http: ClientSession, url: str, authority: Authority, upstream: Upstream
) -> None:
    token = authority.settings.root_token.read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}

    async with http.post(url + CHAT, json=question(), headers=headers) as answer:
        assert answer.status == 401
    assert upstream.bodies == []


async def test_each_attempt_that_was_sent_is_charged(
    http: ClientSession, url: str, account: Account, upstream: Upstream
) -> None:
    """A client's repeat is another request, also under its `Idempotency-Key`, which the upstream sees."""
    for attempt in ("0", "1"):
        headers = {
            **account.headers,
            "Idempotency-Key": "the same",
            "X-Stainless-Retry-Count": attempt,
        }
        async with http.post(url + CHAT, json=question(), headers=headers) as answer:
            assert answer.status == 200

    charges = await account.charges(2)
    assert {one.use.request_id for one in charges} == set(upstream.bill)
    assert [one["idempotency-key"] for one in upstream.headers] == ["the same"] * 2
    assert [one["x-stainless-retry-count"] for one in upstream.headers] == ["0", "1"]


async def test_purchases_at_once_count_once_each(books: Books) -> None:
    """The same five times, and five others."""
    account = await books.account(0)
    purchases = ["one"] * 5 + [f"other {number}" for number in range(5)]

    await asyncio.gather(
        *(
            account.root(
                TopUpRequest(
                    workspace_id=account.workspace_id, amount_nano_credits=10, purchase_id=one
                )
            )
            for one in purchases
        )
    )

    assert (await account.balance()).balance_nano_credits == 60
    assert await account.adds_up()


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal.CREDIT_BALANCE_EXHAUSTED,
        Refusal.IN_FLIGHT_BUDGET_EXHAUSTED,
        Refusal.MODEL_NOT_PRICED,
        Refusal.BILLING_UNAVAILABLE,
    ],
)
def test_money_is_no_matter_of_who_one_is(refusal: Refusal) -> None:
    """It is never answered as a bad credential is, and always with a code."""
    assert refusal.status not in {401, 403}
    assert json.loads(refusal.body)["error"]["code"] == refusal.name.lower()


async def test_one_price_everywhere(client: Client, account: Account, upstream: Upstream) -> None:
    """The head of the answer, the entry, the usage and the balance agree to the nano."""
    told = []
    for tokens in (1, 7, 333):
        _, headers, _ = await client.chat(max_tokens=tokens)
        told.append(amounts.parse(headers["x-opentoken-cost"]))

    charges = await account.charges(3)
    assert [-one.amount_nano_credits for one in charges] == told
    assert [upstream.cost(one.use.request_id) for one in charges] == told
    usage = await account.root(SummarizeUsageRequest(workspace_id=account.workspace_id))
    assert [one.cost_nano_credits for one in usage.sums] == [sum(told)]
    assert (await account.balance()).balance_nano_credits == 10 * NANO - sum(told)
