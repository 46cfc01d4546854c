"""However a request ends, its hold ends too: as a charge if it was sent, else without one."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, web

from keyauthority.v1.key_service_pb2 import RevokeKeyRequest
from keyauthority.v1.price_pb2 import Rates
from tests.billing.conftest import StartGateway
from tests.billing.parts import (
    CHAT,
    DONE,
    SSE,
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
from tests.gateway.parts import exchange

SOON = 10
ASKED = -(-len(json.dumps(question())) // 3)
"""Tokens that a question is estimated to have."""
STREAMED = -(-len(json.dumps(question(stream=True))) // 3)

USAGE = event({"choices": [], "usage": usage((11, 4))})


class Slow:
    """Answers the first pieces of a stream at once, and no more until it is told to go on."""

    def __init__(self, *first: bytes, then: str = "wait") -> None:
        self._first = first
        self._then = then
        self.go_on = asyncio.Event()

    async def __call__(self, request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers=SSE)
        await response.prepare(request)
        for each in self._first:
            await response.write(each)
        if self._then == "break":
            assert request.transport is not None
            # What was written goes out first.
            await asyncio.sleep(0.05)
            request.transport.abort()
        await self.go_on.wait()
        return response


async def leave_after(http: ClientSession, client: Client, pieces: int) -> None:
    """Streams, and hangs up once so many pieces have come."""
    body = json.dumps(question(stream=True)).encode()
    headers = {**client.account.headers, "Content-Type": "application/json"}
    async with http.post(client.url + CHAT, data=body, headers=headers) as answer:
        assert answer.status == 200
        come = b""
        while come.count(b"\n\n") < pieces:
            come += await answer.content.readany()
        answer.close()


@pytest.mark.parametrize(
    ("sent", "pieces", "expected", "estimated"),
    [
        ([piece("abc")] * 5, 5, cost(STREAMED, 5), True),
        ([piece("abc")] * 4 + [USAGE], 4, cost(11, 4), False),
        ([piece("abc")] * 4 + [USAGE, DONE], 5, cost(11, 4), False),
    ],
    ids=["no usage yet", "after the usage", "at the end"],
)
async def test_a_client_that_leaves_a_stream_pays_for_what_it_got(
    http: ClientSession,
    client: Client,
    account: Account,
    upstream: Upstream,
    sent: list[bytes],
    pieces: int,
    expected: int,
    estimated: bool,
) -> None:
    """By the last usage that was told, else by an estimate; the upstream's request is cancelled."""
    upstream.respond = Slow(*sent)
    await leave_after(http, client, pieces)

    async with asyncio.timeout(SOON):
        await upstream.gone.wait()
    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.estimated) == (expected, estimated)
    assert await account.adds_up()


FINISH = event(
    {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    }
)
WHOLE = json.dumps(completion((11, 4))).encode()


@pytest.mark.parametrize(
    ("kind", "first", "rest"),
    [
        ("text/event-stream", piece("abc") + FINISH, USAGE + DONE),
        ("application/json", WHOLE[:-30], WHOLE[-30:]),
    ],
)
async def test_a_client_that_leaves_between_an_answer_and_its_usage_pays_the_usage(
    http: ClientSession,
    client: Client,
    account: Account,
    upstream: Upstream,
    kind: str,
    first: bytes,
    rest: bytes,
) -> None:
    """What it would not pay otherwise is hidden: what a model thought."""
    go_on = asyncio.Event()

    async def respond(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        await response.write(first)
        await go_on.wait()
        await response.write(rest)
        await response.write_eof()
        return response

    upstream.respond = respond
    headers = {**account.headers, "Content-Type": "application/json"}
    body = json.dumps(question(stream=True)).encode()
    async with http.post(client.url + CHAT, data=body, headers=headers) as answer:
        await answer.content.readany()
        answer.close()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await upstream.gone.wait()
    go_on.set()

    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.estimated) == (cost(11, 4), False)
    assert await account.adds_up()


async def test_a_usage_that_does_not_come_is_not_waited_for_long(
    start_gateway: StartGateway, http: ClientSession, account: Account, upstream: Upstream
) -> None:
    client = Client(http, await start_gateway(usage_timeout=0.1), account)
    upstream.respond = Slow(piece("abc"), FINISH)
    await leave_after(http, client, 2)

    async with asyncio.timeout(SOON):
        await upstream.gone.wait()
    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.estimated) == (cost(STREAMED, 1), True)


async def test_a_stop_waits_for_no_usage(
    start_gateway: StartGateway,
    http: ClientSession,
    account: Account,
    upstream: Upstream,
) -> None:
    """What is read on is charged by what came of it, before the gateway ends."""
    upstream.respond = Slow(piece("abc"), FINISH)
    async with AsyncExitStack() as gateway, asyncio.timeout(SOON):
        client = Client(http, await start_gateway(gateway, usage_timeout=600), account)
        await leave_after(http, client, 2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await upstream.gone.wait()
        await gateway.aclose()
        await upstream.gone.wait()
    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.estimated) == (cost(STREAMED, 1), True)


async def test_no_more_answers_are_read_on_than_so_many(
    start_gateway: StartGateway, http: ClientSession, account: Account, upstream: Upstream
) -> None:
    client = Client(http, await start_gateway(max_read_on=0, usage_timeout=600), account)
    upstream.respond = Slow(piece("abc"), FINISH)
    await leave_after(http, client, 2)
    async with asyncio.timeout(SOON):
        await upstream.gone.wait()
    assert (await account.charge()).use.estimated


async def test_a_client_that_leaves_before_an_answer_pays_for_its_request(
    client: Client, account: Account, upstream: Upstream
) -> None:
    """Not for all that was held."""

    async def think(_: web.BaseRequest, __: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    upstream.respond = think
    asking = asyncio.create_task(client.chat())
    async with asyncio.timeout(SOON):
        await upstream.reached.wait()
        asking.cancel()
        await upstream.gone.wait()

    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.estimated) == (cost(ASKED, 0), True)
    assert (charge.use.status, charge.use.held_nano_credits) == (0, cost(ASKED, 1000))


async def test_a_client_that_leaves_before_its_body_is_whole_pays_nothing(
    client: Client, account: Account, upstream: Upstream, url: str
) -> None:
    """Nothing of it was sent."""
    port = int(url.rpartition(":")[2])
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {account.secret}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + b'{"model":')
    await asyncio.sleep(0.1)
    writer.transport.abort()
    del reader
    await client.chat(max_tokens=1)

    assert -(await account.charge()).amount_nano_credits == cost(11, 1)
    assert len(upstream.bodies) == 1


async def test_a_large_body_that_breaks_off_on_its_way_costs_nothing(
    start_gateway: StartGateway,
    http: ClientSession,
    books: Books,
    account: Account,
    upstream: Upstream,
) -> None:
    """Nobody can answer half a request."""
    await books.price("*", CHAT, Rates(request=9))
    url = await start_gateway(max_metered_body_bytes=1000, body_timeout=0.3)
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {account.secret}\r\n"
        "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    )
    raw = await exchange(int(url.rpartition(":")[2]), head.encode() + b"{" + b" " * 2000)
    assert b"408" in raw.partition(b"\r\n")[0]

    await Client(http, url, account).chat(max_tokens=1)
    assert -(await account.charge()).amount_nano_credits == cost(11, 1)


@pytest.mark.parametrize(
    ("sent", "expected", "estimated"),
    [
        ([], cost(STREAMED, 0), True),
        ([piece("abc")] * 6, cost(STREAMED, 6), True),
        ([piece("abc")] * 6 + [piece("abc")[:20]], cost(STREAMED, 6), True),
        ([piece("abc")] * 6 + [USAGE], cost(11, 4), False),
    ],
    ids=["at once", "between events", "within an event", "after the usage"],
)
async def test_a_stream_that_breaks_off_is_charged_by_what_came(
    client: Client,
    account: Account,
    upstream: Upstream,
    sent: list[bytes],
    expected: int,
    estimated: bool,
) -> None:
    """And its client gets an error event, not a whole answer."""
    upstream.respond = Slow(*sent, then="break")
    _, _, body = await client.chat(stream=True)

    assert b'"code":"upstream_unavailable"' in body.split(b"\n\n")[-2]
    assert body.startswith(b"".join([piece("abc")] * 6 if sent else []))
    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.estimated) == (expected, estimated)


async def test_an_answer_that_breaks_off_is_charged_by_its_request(
    client: Client, account: Account, upstream: Upstream
) -> None:
    """It was to be whole before it went on: the client is told what happened."""

    async def break_off(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
        body = json.dumps(completion((11, 5))).encode()
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Content-Length": str(len(body))}
        )
        await response.prepare(request)
        await response.write(body[:20])
        assert request.transport is not None
        await asyncio.sleep(0.05)
        request.transport.abort()
        return response

    upstream.respond = break_off
    status, _, _ = await client.chat()

    assert status == 502
    charge = await account.charge()
    assert charge.use.estimated
    # What came of it is counted, too.
    assert cost(ASKED, 0) <= -charge.amount_nano_credits <= cost(ASKED, 7)


async def test_an_answer_in_two_pieces_has_its_cost_in_its_head(
    client: Client, account: Account, upstream: Upstream
) -> None:
    """As of a server that writes head and body apart."""

    async def slowly(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
        body = json.dumps(completion((11, 5))).encode()
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Content-Length": str(len(body))}
        )
        await response.prepare(request)
        await response.write(body[:20])
        await asyncio.sleep(0.05)
        await response.write(body[20:])
        return response

    upstream.respond = slowly
    _, headers, body = await client.chat()

    assert headers["x-opentoken-cost"] == "0.000062"
    assert json.loads(body) == completion((11, 5))


async def test_an_answer_that_does_not_come_in_time_is_charged_by_its_request(
    start_gateway: StartGateway, http: ClientSession, account: Account, upstream: Upstream
) -> None:
    """The upstream had it, whatever became of it there."""

    async def think(_: web.BaseRequest, __: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    upstream.respond = think
    url = await start_gateway(first_byte_timeout=0.2)
    status, _, _ = await Client(http, url, account).chat()

    assert status == 504
    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.estimated) == (cost(ASKED, 0), True)


async def test_a_stream_that_is_cut_with_its_key_is_charged_by_what_came(
    start_gateway: StartGateway, http: ClientSession, account: Account, upstream: Upstream
) -> None:
    """The last event says why it ended."""
    url = await start_gateway(on_revoke="cut")
    upstream.respond = Slow(*[piece("abc")] * 3)
    asking = asyncio.create_task(Client(http, url, account).chat(stream=True))
    async with asyncio.timeout(SOON):
        await upstream.reached.wait()
        await asyncio.sleep(0.1)
        await account.root(RevokeKeyRequest(key_id=account.key_id))
        _, _, body = await asking

    assert b'"code":"invalid_key"' in body
    charge = await account.charge()
    assert (-charge.amount_nano_credits, charge.use.estimated) == (cost(STREAMED, 3), True)


@pytest.mark.parametrize("finishes", [True, False])
async def test_a_stop_ends_every_hold(
    start_gateway: StartGateway,
    http: ClientSession,
    account: Account,
    upstream: Upstream,
    finishes: bool,
) -> None:
    """What ends within the grace is charged by its usage, the rest by what came; all of it is settled."""
    slow = Slow(*[piece("abc")] * 4, *([USAGE] if finishes else []))
    upstream.respond = slow
    async with AsyncExitStack() as stack:
        url = await start_gateway(stack, grace=0.5)
        asking = asyncio.create_task(Client(http, url, account).chat(stream=True))
        await upstream.reached.wait()
        await asyncio.sleep(0.1)
        if finishes:
            slow.go_on.set()

    await asyncio.gather(asking, return_exceptions=True)
    charge = await account.charge()
    expected = (cost(11, 4), False) if finishes else (cost(STREAMED, 4), True)
    assert (-charge.amount_nano_credits, charge.use.estimated) == expected
    balance = await account.balance()
    assert (balance.escrowed_nano_credits, await account.adds_up()) == (0, True)


async def test_a_client_that_is_gone_when_the_answer_comes_is_charged_by_its_usage(
    http: ClientSession, client: Client, account: Account, upstream: Upstream
) -> None:
    """The whole answer was here."""
    with pytest.raises((ClientError, TimeoutError)):
        async with asyncio.timeout(0):
            await client.chat()
    await client.chat(max_tokens=2)

    charges = await account.charges(len(upstream.bodies))
    assert -charges[-1].amount_nano_credits == cost(11, 2)
