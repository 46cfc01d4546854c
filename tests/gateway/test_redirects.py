"""Redirects of an upstream: to itself they go on, with our address; elsewhere nobody is sent."""

from __future__ import annotations

import openai
import pytest
from aiohttp import web

from gateway.redirects import location_here
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import FakeUpstream, RecordingAuthority, exchange, head, parse

BASE = "https://api.example.com/base"
ASKED = "/v1/models/?limit=1"


@pytest.mark.parametrize(
    ("location", "here"),
    [
        ("https://api.example.com/base/v1/models?limit=1", "/v1/models?limit=1"),
        ("https://api.example.com:443/base/v1/models", "/v1/models"),
        ("HTTPS://API.example.com/base/v1/models", "/v1/models"),
        ("//api.example.com/base/v1/models", "/v1/models"),
        ("/base/v1/models/a%2Fb?x=%2F#top", "/v1/models/a%2Fb?x=%2F"),
        ("../models", "/v1/models"),
        ("gpt", "/v1/models/gpt"),
        ("?limit=2", "/v1/models/?limit=2"),
    ],
)
def test_a_location_of_the_upstream_has_one_here(location: str, here: str) -> None:
    """However it is written."""
    assert location_here(BASE, ASKED, location) == here


@pytest.mark.parametrize(
    "location",
    [
        "http://api.example.com/base/v1/models",
        "https://api.example.com:8443/base/v1/models",
        "https://elsewhere.example/base/v1/models",
        "//elsewhere.example/base/v1/models",
        "https://api.example.com@elsewhere.example/base/v1/models",
        "https://user@api.example.com/base/v1/models",
        "https://api.example.com/v1/models",
        "https://api.example.com/base2/v1/models",
        "/v1/models",
        "/base/admin",
        "/base/v1x",
        "../../../v1/models",
        "/base/v1/../admin",
        "https://api.example.com/base/v1/../../admin",
        "/base/v1/%2e%2e/admin",
        "/base/v1/..%2Fadmin",
        "/base//v1/models",
        "/base\\v1/models",
        "/base/v1/a b",
        "/base/v1/a\tb",
        "/base/v1/caf\u00e9",
        "/base/v1/\udce9",
        "/base/v1/x?key=sk-optk-" + "a" * 65,
        "https://[::1/base/v1/x",
        "https://api.example.com:99999/base/v1/x",
        "mailto:somebody@api.example.com",
    ],
)
def test_a_location_elsewhere_has_none(location: str) -> None:
    """Another origin, another base, outside /v1, or a target that would be refused here."""
    assert location_here(BASE, ASKED, location) is None


@pytest.mark.parametrize("status", [307, 308])
async def test_a_client_follows_a_redirect_through_the_gateway(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream, status: int
) -> None:
    """With method, body and key, which is judged again; the upstream's address is not told."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        if request.path.endswith("/"):
            upstream.received[-1].body = await request.read()
            return web.json_response({"id": "one", "object": "response", "output": []})
        location = f"{upstream.url}/base{request.path.removeprefix('/base')}/"
        return web.Response(status=status, headers={"Location": location})

    upstream.respond = respond
    port = await start_gateway(upstream=f"{upstream.url}/base")
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    client = openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{port}/v1", api_key=authority.issue(), http_client=http
    )

    async with client:
        response = await client.responses.create(model="m", input="Hello")

    assert response.id == "one"
    targets = [(received.method, received.target) for received in upstream.received]
    assert targets == [("POST", "/base/v1/responses"), ("POST", "/base/v1/responses/")]
    assert b"Hello" in upstream.received[-1].body
    assert len(authority.asked) == 2


async def test_a_redirect_with_two_locations_is_none(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Which of them the client would take is not guessed."""

    async def respond(_: web.BaseRequest) -> web.StreamResponse:
        response = web.Response(status=307)
        response.headers.extend({"Location": "/v1/a"})
        response.headers.add("Location", "/v1/b")
        return response

    upstream.respond = respond
    raw = await exchange(port, head(f"Authorization: Bearer {authority.issue()}"))

    assert parse(raw).status == 502
