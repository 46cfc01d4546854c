"""Pages of other origins: which may call, and what they can read."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession, web

from gateway.cors import parse_origin
from keyauthority.edge.envelope import Refusal
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import (
    Answered,
    FakeUpstream,
    RecordingAuthority,
    exchange,
    head,
    parse,
    reply,
)
from tests.gateway.test_streaming import EVENT, SSE, Stream
from tests.gateway.test_table import check_envelope

PAGE = "https://app.example.com"
ORIGIN = f"Origin: {PAGE}"
PREFLIGHT = (
    "Access-Control-Request-Method: POST",
    "Access-Control-Request-Headers: authorization,content-type,x-stainless-os",
)


@pytest.fixture
async def port(start_gateway: StartGateway) -> int:
    """The port of a gateway that two origins may call."""
    return await start_gateway(cors_origin=("http://localhost:3000", PAGE))


async def ask(port: int, *fields: str, **request: str) -> Answered:
    return parse(await exchange(port, head(*fields, **request)))


def said(answer: Answered) -> dict[str, list[str]]:
    """What the answer says to browsers."""
    names = [name for name, _ in answer.headers if name.startswith("access-control-")]
    return {name: answer.header(name) for name in names}


READABLE = {
    "access-control-allow-origin": [PAGE],
    "access-control-expose-headers": ["*"],
}


async def test_a_preflight_is_answered_without_a_key(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Any header field may be sent; nobody is asked."""
    answer = await ask(
        port, ORIGIN, *PREFLIGHT, method="OPTIONS", target="/v1/chat/completions?x=1"
    )

    assert (answer.status, answer.body) == (204, b"")
    assert said(answer) == READABLE | {
        "access-control-allow-methods": ["GET, HEAD, POST, PUT, PATCH, DELETE"],
        "access-control-allow-headers": ["authorization, *"],
        "access-control-max-age": ["7200"],
    }
    assert answer.header("vary") == ["Origin"]
    assert len(answer.header("x-request-id")) == 1
    assert (authority.asked, upstream.received) == ([], [])


@pytest.mark.parametrize(
    ("fields", "request_line", "refusal"),
    [
        pytest.param(["Origin: https://evil.example"], {}, Refusal.MISSING_AUTH, id="other"),
        pytest.param(["Origin: null"], {}, Refusal.MISSING_AUTH, id="null"),
        pytest.param(["Origin: HTTPS://app.example.com"], {}, Refusal.MISSING_AUTH, id="case"),
        pytest.param([ORIGIN, ORIGIN], {}, Refusal.MISSING_AUTH, id="two"),
        pytest.param([], {}, Refusal.MISSING_AUTH, id="none"),
        pytest.param([ORIGIN], {"target": "/admin"}, Refusal.NOT_FOUND, id="path"),
        pytest.param([ORIGIN], {"target": "/v1//x"}, Refusal.BAD_REQUEST, id="malformed"),
        pytest.param([ORIGIN], {"method": "GET"}, Refusal.MISSING_AUTH, id="method"),
        pytest.param([ORIGIN, "Expect: x"], {}, Refusal.BAD_REQUEST, id="head"),
    ],
)
async def test_what_is_no_preflight_of_an_allowed_page_is_refused(
    port: int, fields: list[str], request_line: dict[str, str], refusal: Refusal
) -> None:
    """As without CORS; an allowed page can read why."""
    answer = await ask(port, *fields, *PREFLIGHT, **{"method": "OPTIONS", **request_line})

    check_envelope(answer, refusal)
    assert said(answer) == (READABLE if fields[:2] in ([ORIGIN], [ORIGIN, "Expect: x"]) else {})
    assert answer.header("vary") == ["Origin"]


async def test_an_allowed_page_reads_answers_and_refusals(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Whatever the upstream says to browsers, which is about its own pages."""

    async def respond(_: web.BaseRequest) -> web.StreamResponse:
        headers = {
            "Access-Control-Allow-Origin": "https://theirs.example",
            "Access-Control-Allow-Credentials": "true",
            "Vary": "Accept",
        }
        return web.json_response({}, headers=headers)

    upstream.respond = respond
    good, bad = authority.issue(), authority.issue(reply(pb.VERDICT_REVOKED))

    answered = await ask(port, ORIGIN, f"Authorization: Bearer {good}")
    refused = await ask(port, ORIGIN, f"Authorization: Bearer {bad}")
    others = await ask(port, "Origin: https://theirs.example", f"Authorization: Bearer {good}")

    assert (answered.status, said(answered)) == (200, READABLE)
    assert answered.header("vary") == ["Accept", "Origin"]
    check_envelope(refused, Refusal.INVALID_KEY)
    assert said(refused) == READABLE
    assert (others.status, said(others)) == (200, {})
    assert others.header("vary") == ["Accept", "Origin"]


async def test_an_allowed_page_reads_a_stream(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Its head is out before anybody knows how it ends."""
    stream = Stream(SSE, EVENT)
    upstream.respond = stream.respond
    fields = {"Origin": PAGE, "Authorization": f"Bearer {authority.issue()}"}

    async with http.get(f"http://127.0.0.1:{port}/v1/chat", headers=fields) as response:
        assert await response.content.readany() == EVENT
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        assert response.headers["Access-Control-Expose-Headers"] == "*"
        assert response.headers["Vary"] == "Origin"
        stream.go_on.set()


async def test_every_page_may_be_let_call(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """Then no answer depends on the origin."""
    port = await start_gateway(cors_origin=("*",))

    preflight = await ask(port, "Origin: null", *PREFLIGHT, method="OPTIONS")
    answer = await ask(port, f"Authorization: Bearer {authority.issue()}")

    assert preflight.status == 204
    for one in (preflight, answer):
        assert one.header("access-control-allow-origin") == ["*"]
        assert one.header("vary") == []


async def test_without_the_setting_nothing_is_said_to_browsers(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """A preflight is a request without a key."""
    port = await start_gateway()

    preflight = await ask(port, ORIGIN, *PREFLIGHT, method="OPTIONS")
    answer = await ask(port, ORIGIN, f"Authorization: Bearer {authority.issue()}")

    check_envelope(preflight, Refusal.MISSING_AUTH)
    for one in (preflight, answer):
        assert (said(one), one.header("vary")) == ({}, [])


@pytest.mark.parametrize(
    "text", ["*", "http://localhost:3000", PAGE, "http://[::1]:8080", "tauri://localhost"]
)
def test_origins(text: str) -> None:
    """As browsers send them."""
    assert parse_origin(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "null", "app.example.com", "https://app.example.com/", "https://App.example.com",
     "https://app.example.com:443", "http://localhost:80", "https://*.example.com",
     "https://a.example https://b.example", "https://user@app.example.com", "https://"],
)  # fmt: skip
def test_what_no_browser_sends_is_no_origin(text: str) -> None:
    """It would match nothing, and somebody would wonder why."""
    with pytest.raises(ValueError, match="no origin as browsers send it"):
        parse_origin(text)


@pytest.mark.parametrize("target", ["/authz", "/authz/v1/x", "/healthz", "/readyz"])
async def test_pages_read_nothing_but_the_api(port: int, target: str) -> None:
    """Probes and the questions of proxies are no business of theirs."""
    answer = await ask(port, ORIGIN, target=target)

    assert (said(answer), answer.header("vary")) == ({}, [])


async def test_a_preflight_whose_body_is_not_invited_ends_the_connection(port: int) -> None:
    """What follows may be that body or the next request."""
    raw = head(ORIGIN, *PREFLIGHT, "Expect: 100-continue", "Content-Length: 6", method="OPTIONS")

    answer = parse(await exchange(port, raw.replace(b"Connection: close\r\n", b"")))

    assert (answer.status, answer.header("connection")) == (204, ["close"])
