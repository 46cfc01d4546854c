"""What is held while answers come: enough for what was passed on, and never more than there is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientSession, web

from keyauthority.v1.ledger_service_pb2 import AdjustRequest
from tests.billing.conftest import StartGateway
from tests.billing.parts import (
    DONE,
    Account,
    Books,
    Client,
    Upstream,
    completion,
    cost,
    event,
    piece,
    question,
    usage,
)
from tests.e2e.cable import cable
from tests.rpc.parts import Authority

TEXT = "abc" * 100
"""A hundred tokens, as they are estimated."""
STREAMED = -(-len(json.dumps(question(stream=True))) // 3)


class Talking:
    """Streams pieces of a hundred tokens each, and then a usage."""

    def __init__(self, pieces: int, *, tells: bool = True) -> None:
        self._pieces = pieces
        self._tells = tells
        self.before = asyncio.Event()
        self.before.set()

    async def __call__(self, request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(self._pieces):
            if number == 5:
                await self.before.wait()
            await response.write(piece(TEXT))
            # Else all of it would be here before its head is looked at.
            await asyncio.sleep(0.002 if number < 20 else 0)
        if self._tells:
            last = {"choices": [], "usage": usage((11, self._pieces * 100))}
            await response.write(event(last))
        await response.write(DONE)
        return response


async def test_a_hold_grows_with_the_answer(
    client: Client, account: Account, upstream: Upstream
) -> None:
    """The charge says how much was held, a thousand tokens at a time."""
    upstream.respond = Talking(50)
    _, _, body = await client.chat(stream=True)

    assert body.count(b"\n\n") == 51
    charge = await account.charge()
    assert -charge.amount_nano_credits == cost(11, 5000)
    assert cost(STREAMED, 5000) <= charge.use.held_nano_credits < cost(STREAMED, 6100)


async def test_a_stream_ends_with_402_when_nothing_is_left_for_it(
    http: ClientSession, url: str, books: Books, upstream: Upstream
) -> None:
    """As its last event, without an end of the answer; what came is charged, and is covered."""
    account = await books.account(cost(STREAMED, 2500))
    upstream.respond = Talking(50)
    status, _, body = await Client(http, url, account).chat(stream=True)

    assert status == 200
    *events, last, end = body.split(b"\n\n")
    # All that is paid for, but for what came in one piece with more.
    assert (20 <= len(events) <= 25, end) == (True, b"")
    came = 100 * len(events)
    assert last.startswith(b"event: error\ndata: ")
    assert json.loads(last.partition(b"data: ")[2])["error"]["code"] == "credit_balance_exhausted"
    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.estimated) == (cost(STREAMED, came), True)
    assert charge.use.held_nano_credits == cost(STREAMED, 2500)
    assert (await account.balance()).balance_nano_credits == cost(0, 2500 - came)


async def test_a_cut_never_leaves_an_event_half_said(
    http: ClientSession, url: str, books: Books, upstream: Upstream
) -> None:
    """The event that was passed on in part is passed on whole before."""
    account = await books.account(cost(STREAMED, 1000))
    whole = piece("abc" * 1200)

    async def half(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(piece(TEXT) + whole[:3000])
        await asyncio.sleep(0.1)
        await response.write(whole[3000:] + piece(TEXT))
        await asyncio.sleep(60)
        return response

    upstream.respond = half
    options = {"include_usage": True}
    _, _, body = await Client(http, url, account).chat(stream=True, stream_options=options)

    events = body.split(b"\n\n")
    assert [piece(TEXT), whole] == [each + b"\n\n" for each in events[:2]]
    assert b"credit_balance_exhausted" in events[2]


async def test_a_request_that_says_its_end_needs_no_more(
    client: Client, account: Account, upstream: Upstream
) -> None:
    """Though what came seems to be more than it asked for: that is an estimate."""
    upstream.respond = Talking(8)
    await client.chat(stream=True, max_tokens=500)

    charge = await account.charge()
    asked = -(-len(json.dumps(question(stream=True, max_tokens=500))) // 3)
    assert charge.use.held_nano_credits == cost(asked, 500)


async def test_an_upstream_that_ignores_the_limit_is_held_for(
    client: Client, account: Account, upstream: Upstream
) -> None:
    """Beyond twice as much."""
    upstream.respond = Talking(30, tells=False)
    await client.chat(stream=True, max_tokens=500)

    charge = await account.charge()
    asked = -(-len(json.dumps(question(stream=True, max_tokens=500))) // 3)
    assert -charge.amount_nano_credits == cost(asked, 3000)
    assert charge.use.held_nano_credits >= cost(asked, 2500)


async def test_holding_all_refuses_who_has_less(
    start_gateway: StartGateway, http: ClientSession, books: Books, upstream: Upstream
) -> None:
    """With `--hold full`; what is there is enough for a smaller request."""
    url = await start_gateway(hold="full")
    account = await books.account(cost(STREAMED, 2500))
    client = Client(http, url, account)

    status, _, _ = await client.chat(max_tokens=5000)
    assert status in {402, 429}
    assert upstream.bodies == []
    status, _, _ = await client.chat(max_tokens=2000)
    assert status == 200
    assert (await account.charge()).use.held_nano_credits > cost(0, 2000)


async def test_an_adjustment_cuts_what_runs_on_without_credits(
    http: ClientSession, client: Client, account: Account, upstream: Upstream
) -> None:
    """Once what is held for it is used up."""
    upstream.respond = talking = Talking(50)
    talking.before.clear()
    asking = asyncio.create_task(client.chat(stream=True))
    await upstream.reached.wait()
    await asyncio.sleep(0.1)
    balance = (await account.balance()).balance_nano_credits
    await account.root(
        AdjustRequest(
            workspace_id=account.workspace_id,
            amount_nano_credits=-balance,
            reason="a mistake",
            reference="adjustment 1",
        )
    )
    talking.before.set()
    _, _, body = await asking

    assert b'"code":"credit_balance_exhausted"' in body
    assert body.count(piece(TEXT)) == 10
    await account.charge()
    assert await account.adds_up()


async def test_without_a_word_a_stream_ends_with_503(
    start_gateway: StartGateway,
    http: ClientSession,
    books: Books,
    authority: Authority,
    upstream: Upstream,
) -> None:
    """When it needs more than the gateway has at hand."""
    account = await books.account()
    with cable() as line:
        line.target = authority.port
        client = Client(http, await start_gateway(authority=f"127.0.0.1:{line.port}"), account)
        upstream.respond = talking = Talking(500)
        talking.before.clear()
        asking = asyncio.create_task(client.chat(stream=True))
        await upstream.reached.wait()
        line.cut()
        talking.before.set()
        _, _, body = await asking
        line.mend()

        assert b'"code":"billing_unavailable"' in body.split(b"\n\n")[-2]
        charge = await account.charge()
        assert -charge.amount_nano_credits <= charge.use.held_nano_credits


@pytest.mark.parametrize("gateways", [1, 3])
async def test_of_many_at_once_exactly_those_are_admitted_that_fit(
    start_gateway: StartGateway,
    http: ClientSession,
    books: Books,
    upstream: Upstream,
    gateways: int,
) -> None:
    """32 requests against credits for three: by one gateway, and by several."""
    each = cost(-(-len(json.dumps(question(max_tokens=100))) // 3), 100)
    account = await books.account(3 * each)
    urls = [await start_gateway() for _ in range(gateways)]
    answer = asyncio.Event()

    async def wait(_: web.BaseRequest, __: dict[str, Any]) -> web.StreamResponse:
        await answer.wait()
        return web.json_response(
            completion((-(-len(json.dumps(question(max_tokens=100))) // 3), 100))
        )

    upstream.respond = wait
    asking = [
        asyncio.create_task(Client(http, urls[number % gateways], account).chat(max_tokens=100))
        for number in range(32)
    ]
    done: set[asyncio.Task[Any]] = set()
    async with asyncio.timeout(20):
        while len(done) < 29:
            done, _ = await asyncio.wait(asking, timeout=0.05)
    assert len(upstream.bodies) == 3
    answer.set()
    statuses = sorted([(await one)[0] for one in asking])

    assert statuses == [200] * 3 + [429] * 29
    await account.charges(3)
    balance = await account.balance()
    assert (balance.balance_nano_credits, await account.adds_up()) == (0, True)
