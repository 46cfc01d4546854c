"""Websockets of workspaces that are billed: by a price of each, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession, WSServerHandshakeError, web

from keyauthority.pricing.amounts import NANO
from keyauthority.v1.price_pb2 import Rates
from tests.billing.conftest import StartGateway
from tests.billing.parts import TOKENS, Account, Books, Respond, Upstream

REALTIME = "/v1/realtime"


async def take(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def decline(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"error": "not today"}, status=429)


async def ignore(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return web.json_response({"object": "chat.completion", "choices": [], "usage": usage})


async def begin(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: {}\n\n")
    return response


async def say_nothing(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


async def drop(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    raise ConnectionResetError


async def mistake(request: web.BaseRequest, _: dict[str, Any]) -> web.StreamResponse:
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": "x"}
    return web.Response(status=101, headers=fields)


async def test_each_is_charged_once_when_it_is_opened(
    http: ClientSession, start_gateway: StartGateway, books: Books, account: Account,
    upstream: Upstream,
) -> None:  # fmt: skip
    """What its price says of a request, before anything passes; nothing while it lasts or at its end."""
    await books.price("*", REALTIME, Rates(request=NANO))
    url = await start_gateway(websockets=True)
    upstream.respond = take

    async with http.ws_connect(url + REALTIME, headers=account.headers) as socket:
        assert (await account.charge()).amount_nano_credits == -NANO
        await socket.send_str("x")
        assert await socket.receive_str() == "x"
        assert socket._response.headers["x-opentoken-cost"] == "1"

    charge = await account.charge()
    assert (charge.use.path, charge.use.model, charge.use.estimated) == (REALTIME, "", False)
    assert await account.adds_up()


@pytest.mark.parametrize("answer", [decline, ignore, begin, say_nothing, drop, mistake])
async def test_one_that_is_not_opened_costs_nothing(
    http: ClientSession, start_gateway: StartGateway, books: Books, account: Account,
    upstream: Upstream, answer: Respond,
) -> None:  # fmt: skip
    """Whatever the upstream does instead: it served no websocket. All that was held is there again."""
    await books.price("*", REALTIME, Rates(request=NANO))
    url = await start_gateway(websockets=True, first_byte_timeout=0.5)
    upstream.respond = answer

    with pytest.raises(WSServerHandshakeError):
        await http.ws_connect(url + REALTIME, headers=account.headers)

    upstream.respond = take
    async with http.ws_connect(url + REALTIME, headers=account.headers):
        pass
    assert [(await account.charge()).amount_nano_credits] == [-NANO]
    assert await account.adds_up()


@pytest.mark.parametrize(
    ("model", "path", "rates"),
    [
        pytest.param("", "", Rates(), id="unpriced"),
        pytest.param("*", "/v1/responses", TOKENS, id="tokens"),
        pytest.param("*", "/v1/*", Rates(request=1), id="everything"),
        pytest.param("gpt-realtime", "/v1/responses", Rates(request=1), id="model"),
    ],
)
async def test_without_a_price_of_each_it_is_refused(
    http: ClientSession, start_gateway: StartGateway, books: Books, account: Account,
    upstream: Upstream, model: str, path: str, rates: Rates,
) -> None:  # fmt: skip
    """Though a GET there is free: nobody meters what passes on it."""
    if model:
        await books.price(model, path, rates)
    url = await start_gateway(websockets=True)
    upstream.respond = take

    with pytest.raises(WSServerHandshakeError) as refused:
        await http.ws_connect(url + "/v1/responses?model=gpt-realtime", headers=account.headers)

    assert refused.value.status == 400
    assert upstream.headers == []


async def test_without_credits_it_is_refused(
    http: ClientSession, start_gateway: StartGateway, books: Books, upstream: Upstream
) -> None:
    """As any request that costs something."""
    await books.price("*", REALTIME, Rates(request=NANO))
    url = await start_gateway(websockets=True)
    account = await books.account(0)

    with pytest.raises(WSServerHandshakeError) as refused:
        await http.ws_connect(url + REALTIME, headers=account.headers)

    assert refused.value.status == 402
    assert upstream.headers == []
