"""Pages of another origin that call the gateway, in a real browser."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from keyauthority.v1 import verification_service_pb2 as pb
from tests.console.browser import chromium
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import FakeUpstream, RecordingAuthority, reply, upstream_serving
from tests.gateway.test_streaming import EVENT, SSE, Stream
from tests.gateway.test_websockets import Realtime

ASK = """async ([url, key]) => {
  const headers = {
    "Authorization": `Bearer ${key}`, "Content-Type": "application/json", "X-Stainless-OS": "x",
  };
  try {
    const answer = await fetch(url, {method: "POST", headers, body: "{}"});
    return [answer.status, answer.headers.get("x-request-id").length > 0, await answer.text()];
  } catch (error) {
    return [error.name];
  }
}"""
TALK = """([url, key]) => new Promise((resolve) => {
  const socket = new WebSocket(url, ["realtime", `openai-insecure-api-key.${key}`]);
  const heard = [];
  socket.onopen = () => socket.send("hello");
  socket.onmessage = (event) => { heard.push(event.data); socket.close(4001, "enough"); };
  socket.onclose = (event) => resolve([socket.protocol, heard, event.code]);
})"""


@pytest.fixture
async def page() -> AsyncIterator[str]:
    """The origin of a page."""

    async def show(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="<!doctype html><title>page</title>", content_type="text/html")

    async with upstream_serving() as server:
        server.respond = show
        yield server.url


def in_browser(origin: str, *calls: tuple[str, str, str]) -> list[Any]:
    """What scripts of the page tell, each of a URL and a key."""
    with chromium() as browser:
        page = browser.new_page()
        page.goto(origin)
        return [page.evaluate(script, [url, key]) for script, url, key in calls]


async def test_an_allowed_page_calls_and_reads_and_another_does_not(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream, page: str
) -> None:
    """A stream, a refusal with its code, and a websocket with the key in a subprotocol."""
    port = await start_gateway(cors_origin=(page,), websockets=True)
    closed = await start_gateway(cors_origin=("https://app.example.com",), websockets=True)
    good, bad = authority.issue(), authority.issue(reply(pb.VERDICT_REVOKED))
    realtime, stream = Realtime(upstream), Stream(SSE, EVENT)
    stream.go_on.set()

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        answer = realtime.respond if "Upgrade" in request.headers else stream.respond
        return await answer(request)

    upstream.respond = respond
    chat, talk = "http://127.0.0.1:{}/v1/chat/completions", "ws://127.0.0.1:{}/v1/realtime"
    answered, refused, heard, unread, unheard = await to_thread(
        in_browser,
        page,
        (ASK, chat.format(port), good),
        (ASK, chat.format(port), bad),
        (TALK, talk.format(port), good),
        (ASK, chat.format(closed), good),
        (TALK, talk.format(closed), good),
    )

    assert answered == [200, True, EVENT.decode()]
    assert refused[:2] == [401, True]
    assert '"code":"invalid_key"' in refused[2]
    assert heard == ["realtime", ["hello"], 1000]
    assert realtime.sockets[0].close_code == 4001
    assert (unread, unheard) == (["TypeError"], ["", [], 1006])
    assert [received.method for received in upstream.received] == ["POST", "GET"]
