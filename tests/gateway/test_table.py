"""The table of answers, row by row, as a client sees it."""

from __future__ import annotations

import json

import pytest
from aiohttp import ClientSession, web

from keyauthority.client import Verdict
from keyauthority.edge.envelope import REFUSALS, Refusal
from keyauthority.scopes.catalogue import Allowance, Scope, default_catalogue
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import (
    Answered,
    Explosive,
    FakeUpstream,
    RecordingAuthority,
    exchange,
    head,
    parse,
    reply,
    valid_reply,
)

CHALLENGES = {"missing_auth": ["Bearer"]}
INVALID_TOKEN = ['Bearer error="invalid_token"']


def check_envelope(answer: Answered, refusal: Refusal, detail: str = "") -> None:
    """The answer is the row of *refusal*, whole and nothing else but *detail* behind its message."""
    message = f"{refusal.message}: {detail}" if detail else refusal.message
    expected = {"message": message, "type": refusal.kind, "code": refusal.code}
    assert answer.status == refusal.status
    assert json.loads(answer.body) == {"error": expected}
    assert list(answer.error) == ["message", "type", "code"]
    assert answer.header("content-type") == ["application/json"]
    assert len(answer.header("x-request-id")) == 1
    assert answer.header("server") == []
    challenge = CHALLENGES.get(refusal.code, INVALID_TOKEN) if refusal.status == 401 else []
    assert answer.header("www-authenticate") == challenge


async def ask(port: int, *fields: str, target: str = "/v1/models") -> Answered:
    return parse(await exchange(port, head(*fields, target=target)))


async def test_without_a_key_the_answer_is_missing_auth(port: int) -> None:
    """A bare challenge: nothing was presented that could be wrong."""
    check_envelope(await ask(port), Refusal.MISSING_AUTH)


async def test_a_revoked_key_gets_the_documented_bytes(
    port: int, authority: RecordingAuthority
) -> None:
    """The body is the one in the public documentation, white space aside."""
    secret = authority.issue(reply(pb.VERDICT_REVOKED))

    answer = await ask(port, f"Authorization: Bearer {secret}")

    assert answer.body == (
        b'{"error":{"message":"invalid api key","type":"authentication_error",'
        b'"code":"invalid_key"}}'
    )


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict in REFUSALS])
async def test_every_verdict_but_valid_has_its_row(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, verdict: Verdict
) -> None:
    """A refused key never reaches the upstream."""
    answer = reply(pb.Verdict.ValueType(verdict.value))
    secret = authority.issue(answer)

    check_envelope(await ask(port, f"Authorization: Bearer {secret}"), REFUSALS[verdict])
    assert upstream.received == []


def test_no_verdict_is_left_out() -> None:
    """A verdict that is added to the domain needs a row here."""
    assert REFUSALS.keys() | {Verdict.VALID} == set(Verdict)


async def test_a_typing_error_costs_no_call(port: int, authority: RecordingAuthority) -> None:
    """A native secret with a wrong checksum is refused by the gateway alone."""
    secret = authority.issue()
    typo = secret[:-1] + ("a" if secret[-1] != "a" else "b")

    check_envelope(await ask(port, f"Authorization: Bearer {typo}"), Refusal.INVALID_KEY)
    assert authority.asked == []


async def test_a_valid_key_gets_the_upstreams_answer(
    port: int, authority: RecordingAuthority
) -> None:
    """The upstream's body, and an id to find the request by."""
    answer = await ask(port, f"Authorization: Bearer {authority.issue()}")

    assert answer.status == 200
    assert json.loads(answer.body) == {"object": "fake"}
    assert len(answer.header("x-request-id")) == 1


@pytest.mark.parametrize(
    ("scopes", "target", "detail"),
    [
        pytest.param((), "/v1/images/generations", "", id="full-access"),
        pytest.param((), "/v1/anything", "", id="full-access-without-a-rule"),
        pytest.param(("models:read",), "/v1/models/gpt-5", "", id="allowed"),
        pytest.param(("models:read",), "/v1/batches", "batches:read or batches:write", id="named"),
        pytest.param(
            ("models:read",), "/v1/anything", "only a key without scopes may make it", id="no-rule"
        ),
        pytest.param(("ours",), "/v1/models", "models:read or fine_tuning:write", id="unknown"),
    ],
)
async def test_a_key_with_scopes_may_do_what_they_allow(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    scopes: tuple[str, ...],
    target: str,
    detail: str,
) -> None:
    """By the rules that ship, and nothing else; the refusal names the scopes. Without scopes, anything."""
    port = await start_gateway(scope_rules=default_catalogue())
    secret = authority.issue(valid_reply(*scopes))

    answer = await ask(port, f"Authorization: Bearer {secret}", target=target)

    if detail:
        check_envelope(answer, Refusal.INSUFFICIENT_SCOPE, detail)
        assert upstream.received == []
    else:
        assert answer.status == 200


async def test_where_the_upstream_judges_scopes_the_gateway_does_not(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """By `--scope-rules off`; it gets them in a header."""
    port = await start_gateway(scope_rules=None)
    secret = authority.issue(valid_reply("ours"))

    answer = await ask(port, f"Authorization: Bearer {secret}", target="/v1/anything")

    assert answer.status == 200
    assert upstream.received[0].header("x-opentoken-scopes") == ["ours"]


async def test_other_paths_are_not_found(port: int, authority: RecordingAuthority) -> None:
    """Whoever asks; no key is looked up for a path that does not exist."""
    answer = await ask(port, f"Authorization: Bearer {authority.issue()}", target="/admin")

    check_envelope(answer, Refusal.NOT_FOUND)
    assert authority.asked == []


async def test_too_many_failed_attempts_are_braked(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """The wait that is told is at most a minute; a key that worked goes on working."""
    port = await start_gateway(max_refusals=2)
    good = authority.issue()
    assert (await ask(port, f"Authorization: Bearer {good}")).status == 200
    for _ in range(2):
        revoked = authority.issue(reply(pb.VERDICT_REVOKED))
        assert (await ask(port, f"Authorization: Bearer {revoked}")).status == 401

    answer = await ask(port, f"Authorization: Bearer {authority.issue()}")

    check_envelope(answer, Refusal.RATE_LIMITED)
    assert answer.header("retry-after") == ["30"]
    assert (await ask(port, f"Authorization: Bearer {good}")).status == 200


@pytest.mark.parametrize("status", [401, 407])
async def test_the_upstream_refusing_us_is_no_refusal_of_the_client(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, status: int
) -> None:
    """Its 401 would make a client throw a good key away."""

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"error": "who are you"}, status=status)

    upstream.respond = refuse

    answer = await ask(port, f"Authorization: Bearer {authority.issue()}")

    check_envelope(answer, Refusal.UPSTREAM_UNAVAILABLE)


@pytest.mark.parametrize(
    ("status", "location"),
    [
        *((status, "/v1/elsewhere") for status in (300, 301, 302, 303, 305)),
        *((status, "https://elsewhere.example/v1/x") for status in (307, 308)),
    ],
)
async def test_no_redirect_leads_elsewhere(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, status: int, location: str
) -> None:
    """Neither our credential nor the client's request goes where the upstream points."""

    async def redirect(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": location})

    upstream.respond = redirect

    answer = await ask(port, f"Authorization: Bearer {authority.issue()}")

    check_envelope(answer, Refusal.UPSTREAM_UNAVAILABLE)
    assert answer.header("location") == []
    assert len(upstream.received) == 1


@pytest.mark.parametrize(
    "status", [200, 204, 304, 400, 402, 403, 404, 408, 409, 413, 422, 426, 429, 451, 500, 503]
)
async def test_other_answers_of_the_upstream_are_its_own(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, status: int
) -> None:
    """Status, headers and body as they are: errors of the API are the API's."""

    async def respond(_: web.BaseRequest) -> web.StreamResponse:
        body = b"" if status in {204, 304} else b'{"error":{"code":"theirs"}}'
        return web.Response(status=status, body=body, headers={"Retry-After": "7"})

    upstream.respond = respond

    answer = await ask(port, f"Authorization: Bearer {authority.issue()}")

    assert answer.status == status
    assert answer.header("retry-after") == ["7"]
    assert answer.body == (b"" if status in {204, 304} else b'{"error":{"code":"theirs"}}')


async def test_an_upstream_that_is_down_is_unavailable(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """Nobody listens there."""
    port = await start_gateway(upstream="http://127.0.0.1:1")

    answer = await ask(port, f"Authorization: Bearer {authority.issue()}")

    check_envelope(answer, Refusal.UPSTREAM_UNAVAILABLE)


async def test_our_own_fault_says_nothing_about_itself(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """The text of an exception is for the log."""
    rule = Scope("a", "Anything", (Allowance(None, Explosive("the password is swordfish")),))
    port = await start_gateway(scope_rules=(rule,))
    secret = authority.issue(valid_reply("a"))

    answer = await ask(port, f"Authorization: Bearer {secret}")

    assert b"swordfish" not in answer.body
    check_envelope(answer, Refusal.INTERNAL_ERROR)


async def test_an_answer_to_head_has_no_body(http: ClientSession, port: int) -> None:
    """Refusals too: the length is told, the body is not sent."""
    async with http.head(f"http://127.0.0.1:{port}/v1/models") as response:
        assert response.status == 401
        assert int(response.headers["Content-Length"]) == len(Refusal.MISSING_AUTH.body)
        assert await response.read() == b""
