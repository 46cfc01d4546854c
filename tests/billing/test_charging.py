"""Each request is charged what the upstream's own bill says, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, web

from gateway.billing.bodies import Bodies
from gateway.request import RequestBody
from keyauthority.edge.envelope import Refusal
from keyauthority.pricing import amounts
from keyauthority.v1.price_pb2 import Rates
from tests.billing.conftest import StartGateway
from tests.billing.parts import (
    DONE,
    MODEL,
    Account,
    Books,
    Client,
    Upstream,
    completion,
    cost,
    events,
    piece,
    question,
    stream,
    usage,
)
from tests.billing.test_observing import metrics
from tests.ports import free_port
from tests.rpc.parts import eventually

TEN = 10 * amounts.NANO


async def test_an_answer_is_charged_by_the_usage_that_it_tells(
    client: Client, account: Account, upstream: Upstream
) -> None:
    """To the nano, and its head says how much."""
    status, headers, body = await client.chat(max_tokens=5)

    assert (status, json.loads(body)) == (200, completion((11, 5)))
    charge = await account.charge()
    assert -charge.amount_nano_credits == cost(11, 5) == upstream.cost(charge.use.request_id)
    assert headers["x-opentoken-cost"] == amounts.write(cost(11, 5))
    use = charge.use
    assert (use.key_id, use.model, use.path, use.status, use.estimated) == (
        account.key_id,
        MODEL,
        "/v1/chat/completions",
        200,
        False,
    )
    assert dict(use.counts) == {"input": 11, "output": 5}
    assert use.price_id.startswith("price_")
    assert use.request_id == headers["x-request-id"]
    assert (await account.balance()).balance_nano_credits == TEN - cost(11, 5)
    assert await account.adds_up()


async def test_a_streams_usage_is_asked_for_and_taken_out(
    client: Client, account: Account, upstream: Upstream
) -> None:
    """The client gets, byte for byte, what it would have got; the upstream was asked for no coding."""
    _, _, body = await client.chat(stream=True, max_tokens=5)

    assert body == b"".join(events((11, 5), with_usage=False))
    assert json.loads(upstream.bodies[0]) == {
        **question(stream=True, max_tokens=5),
        "stream_options": {"include_usage": True},
    }
    assert upstream.headers[0]["accept-encoding"] == "identity"
    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.estimated) == (cost(11, 5), False)


async def test_a_usage_that_the_client_asked_for_stays(client: Client, account: Account) -> None:
    """And is charged the same."""
    _, _, body = await client.chat(
        stream=True, max_tokens=5, stream_options={"include_usage": True}
    )

    assert body == b"".join(events((11, 5), with_usage=True))
    assert -(await account.charge()).amount_nano_credits == cost(11, 5)


async def test_many_requests_add_up(
    http: ClientSession, url: str, account: Account, upstream: Upstream
) -> None:
    """Whole and streamed, at once: the ledger has what the upstream's bill has, and nothing is held."""
    client = Client(http, url, account)
    await asyncio.gather(
        *(client.chat(stream=number % 2 == 0, max_tokens=number) for number in range(1, 61))
    )

    charges = await account.charges(60)
    ledger = {one.use.request_id: -one.amount_nano_credits for one in charges}
    assert ledger == {request_id: upstream.cost(request_id) for request_id in upstream.bill}
    assert not any(one.use.estimated for one in charges)
    balance = await account.balance()
    assert balance.balance_nano_credits == TEN - sum(ledger.values())
    assert await account.adds_up()


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 302])
async def test_what_the_upstream_refuses_costs_nothing(
    client: Client, account: Account, upstream: Upstream, status: int
) -> None:
    """Whatever it says, and whether or not the client hears it."""

    async def refuse(_: web.BaseRequest, __: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no"}}, status=status)

    upstream.respond = refuse
    _, headers, _ = await client.chat()
    upstream.respond = None
    await client.chat(max_tokens=1)

    assert "x-opentoken-cost" not in headers
    # The charge of the second request, which came later, is the only one.
    assert -(await account.charge()).amount_nano_credits == cost(11, 1)


async def test_after_any_end_nothing_is_held(
    start_gateway: StartGateway, http: ClientSession, account: Account, upstream: Upstream
) -> None:
    """A success, refusals, and an upstream that breaks off or is not there: each is ended, none is lost."""
    listen = f"127.0.0.1:{free_port()}"
    client = Client(http, await start_gateway(metrics_listen=listen), account)

    async def refuse(_: web.BaseRequest, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({}, status=asked["max_tokens"])

    async def hang_up(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    await client.chat(max_tokens=5)
    upstream.respond = refuse
    for status in (400, 429, 500):
        assert (await client.chat(max_tokens=status))[0] == status
    upstream.respond = hang_up
    assert (await client.chat(max_tokens=5))[0] == 502
    away = Client(http, await start_gateway(upstream=f"http://127.0.0.1:{free_port()}"), account)
    assert (await away.chat(max_tokens=5))[0] == 502

    async def is_held_for_nobody() -> bool:
        return (await metrics(http, listen))["gateway_holds"] == 0

    await eventually(is_held_for_nobody)
    numbers = await metrics(http, listen)
    assert (numbers["gateway_voided_total"], numbers["gateway_holds_dropped_total"]) == (3, 0)
    # The whole answer, and that which broke off.
    assert [one.use.estimated for one in await account.charges(2)] == [False, True]


async def test_a_failure_that_tells_a_usage_is_charged(
    client: Client, account: Account, upstream: Upstream
) -> None:
    """The upstream bills it, too."""

    async def fail(_: web.BaseRequest, __: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {}, "usage": usage((4, 2))}, status=500)

    upstream.respond = fail
    await client.chat()

    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.status) == (cost(4, 2), 500)


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "Identity"}])
async def test_a_stream_that_tells_no_usage_is_estimated(
    client: Client, account: Account, upstream: Upstream, headers: dict[str, str]
) -> None:
    """By the request's length and the text that was passed on, three bytes a token."""

    async def tell_nothing(request: web.BaseRequest, __: dict[str, Any]) -> web.StreamResponse:
        return await stream(request, [*(piece("abc") for _ in range(9)), DONE], headers)

    upstream.respond = tell_nothing
    await client.chat(stream=True)

    charge = await account.charge()
    asked = -(-len(json.dumps(question(stream=True))) // 3)
    assert (-charge.amount_nano_credits, charge.use.estimated) == (cost(asked, 9), True)


async def test_reading_costs_nothing(client: Client, account: Account, upstream: Upstream) -> None:
    """Models are listed without a hold; a path without a price is refused where it is called."""
    status, headers, _ = await client.send(b"", "/v1/models", "GET")
    assert (status, upstream.headers[0].get("accept-encoding")) == (200, "gzip, deflate")
    assert "x-opentoken-cost" not in headers
    await client.chat(max_tokens=1)

    assert -(await account.charge()).amount_nano_credits == cost(11, 1)


async def test_an_upstream_out_of_reach_costs_nothing(
    start_gateway: StartGateway, http: ClientSession, account: Account, unused_port: int
) -> None:
    """Nothing was sent; the hold is back at once."""
    url = await start_gateway(upstream=f"http://127.0.0.1:{unused_port}")
    for _ in range(3):
        status, _, _ = await Client(http, url, account).chat()
        assert status == 502

    other = await start_gateway()
    await Client(http, other, account).chat(max_tokens=1)
    assert -(await account.charge()).amount_nano_credits == cost(11, 1)


async def test_a_small_body_in_chunks_is_read_and_passed_on(
    http: ClientSession, url: str, account: Account, upstream: Upstream
) -> None:
    """As is one that comes late."""

    async def body() -> Any:
        text = json.dumps(question(max_tokens=3)).encode()
        for start in range(0, len(text), 10):
            yield text[start : start + 10]
            await asyncio.sleep(0)

    headers = {**account.headers, "Content-Type": "application/json"}
    async with http.post(f"{url}/v1/chat/completions", data=body(), headers=headers) as answer:
        assert answer.status == 200

    assert json.loads(upstream.bodies[0]) == question(max_tokens=3)
    assert -(await account.charge()).amount_nano_credits == cost(11, 3)


@pytest.mark.parametrize("size", [40_000, 3_000_000])
async def test_a_large_body_is_metered_and_passed_on_whole(
    client: Client, account: Account, upstream: Upstream, size: int
) -> None:
    """Also with the usage asked for in it."""
    fields: dict[str, Any] = {"user": "x" * size, "max_tokens": 3}
    await client.chat(**fields)
    await client.chat(**fields, stream=True)

    assert json.loads(upstream.bodies[0]) == question(**fields)
    assert json.loads(upstream.bodies[1]) == {
        **question(**fields, stream=True),
        "stream_options": {"include_usage": True},
    }
    charges = await account.charges(2)
    assert [-charge.amount_nano_credits for charge in charges] == [cost(11, 3)] * 2


async def test_pictures_are_charged_by_their_number(
    client: Client, books: Books, account: Account, upstream: Upstream
) -> None:
    """As many as came, whatever was asked for; by what was asked for if the answer breaks off."""
    await books.price("draw", "/v1/images/generations", Rates(image=1_000))

    async def draw(request: web.BaseRequest, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"data": [{"b64_json": "AAAA"}] * 2})

    async def break_off(request: web.BaseRequest, asked: dict[str, Any]) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    body = json.dumps({"model": "draw", "prompt": "a tree", "n": 3}).encode()
    upstream.respond = draw
    assert (await client.send(body, "/v1/images/generations"))[1]["x-opentoken-cost"] == "0.000002"
    upstream.respond = break_off
    assert (await client.send(body, "/v1/images/generations"))[0] == 502

    charges = await account.charges(2)
    assert [(-one.amount_nano_credits, one.use.estimated) for one in charges] == [
        (2_000, False),
        (3_000, True),
    ]


class Slow(RequestBody):
    """A body that comes in *pieces*; its client waits before the last of them until `rest` is set."""

    def __init__(self, *pieces: bytes) -> None:
        self.failure = None
        self.length = None
        self.received = 0
        self.rest = asyncio.Event()
        self._pieces = list(pieces)

    async def _invite(self) -> None:
        pass

    async def _next_chunk(self) -> bytes:
        if len(self._pieces) == 1:
            await self.rest.wait()
        piece = self._pieces.pop(0) if self._pieces else b""
        self.received += len(piece)
        return piece


@pytest.mark.parametrize("refuses", [True, False])
async def test_clients_that_send_slowly_share_a_bound(refuses: bool) -> None:
    """Of what has come of bodies: a key has an eighth, and what is beyond is refused or sent unread."""
    refusal = Refusal.OVERLOADED if refuses else None
    bodies = Bodies(1_000, refuses=refuses, together=800)
    slow = Slow(b"x" * 60, b"x" * 41)
    reading = asyncio.create_task(bodies.read(slow, "key_1"))
    await asyncio.sleep(0)
    assert bodies.held == {"key_1": 60}
    other = Slow(b"y" * 100, b"")
    other.rest.set()
    assert await bodies.read(other, "key_2") == b"y" * 100
    slow.rest.set()
    assert await reading is refusal
    assert bodies.held == {"key_1": 101, "key_2": 100}

    for body in (slow, other):
        body.release()
    assert bodies.held == {}


async def test_a_body_counts_until_it_is_passed_on() -> None:
    """The upstream may read as slowly as clients send."""
    bodies = Bodies(100_000, refuses=True, together=800_000)
    first, second = Slow(b"x" * 60_000), Slow(b"x" * 60_000)
    first.rest.set()
    second.rest.set()
    assert await bodies.read(first, "key_1")
    assert await bodies.read(second, "key_1") is Refusal.OVERLOADED


@pytest.mark.parametrize("billing", ["enforce", "observe"])
async def test_one_client_keeps_no_other_from_sending(
    start_gateway: StartGateway, http: ClientSession, books: Books, billing: str
) -> None:
    """However many requests it begins whose bodies do not come."""
    slow, account = await books.account(), await books.account()
    url = await start_gateway(billing=billing)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {slow.secret}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
    )
    port = int(url.rpartition(":")[2])
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(32)]
    for _, writer in connections:
        writer.write(head.encode())

    async def late() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.1)
        yield json.dumps(question()).encode()

    headers = {**account.headers, "Content-Type": "application/json"}
    async with http.post(f"{url}/v1/chat/completions", data=late(), headers=headers) as answer:
        assert answer.status == 200
    for _, writer in connections:
        writer.transport.abort()


async def test_what_is_free_is_counted_without_credits(
    http: ClientSession, url: str, books: Books
) -> None:
    """As a charge of nothing, which says what was used; also where it streams beyond any hold."""
    await books.price("free", "/v1/chat/completions", Rates(input=0, output=0))
    account = await books.account(0)
    client = Client(http, url, account)

    assert (await client.chat(model="free", max_tokens=5))[0] == 200
    assert (await client.chat(model="free", max_tokens=3000, stream=True))[0] == 200

    charges = await account.charges(2)
    assert [-charge.amount_nano_credits for charge in charges] == [0, 0]
    assert [dict(charge.use.counts) for charge in charges] == [
        {"input": 11, "output": 5},
        {"input": 11, "output": 3000},
    ]


async def test_a_key_in_another_header_is_charged_as_ever(
    start_gateway: StartGateway, http: ClientSession, account: Account, upstream: Upstream
) -> None:
    """The workspace pays, by whichever header it is known."""
    url = await start_gateway(key_header=("x-api-key",))
    secret = account.headers["Authorization"].removeprefix("Bearer ")

    async with http.post(
        f"{url}/v1/chat/completions", json=question(), headers={"x-api-key": secret}
    ) as answer:
        assert answer.status == 200

    charge = await account.charge()
    assert -charge.amount_nano_credits == upstream.cost(charge.use.request_id) > 0
