"""What crosses the gateway and what does not, in both directions."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.allowlist import Allowlist
from gateway.field_names import MOST_DECISIONS, Decisions
from gateway.headers import to_upstream
from keyauthority.client import VerifiedKey
from keyauthority.edge.identity import IDENTITY_PREFIX, canonical
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import (
    Answered,
    FakeUpstream,
    Received,
    RecordingAuthority,
    exchange,
    head,
    parse,
    valid_reply,
)

KEY = VerifiedKey("key_1", "ws_1", "one", ("a", "b"), {})


async def received(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, *fields: str, **request: str
) -> Received:
    secret = authority.issue(valid_reply("a", "b"))
    raw = await exchange(port, head(f"Authorization: Bearer {secret}", *fields, **request))
    assert parse(raw).status == 200
    return upstream.received[-1]


async def test_the_upstream_learns_whose_request_it_is(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Workspace, key and scopes; of copies the client sent, nothing is left."""
    request = await received(
        port,
        authority,
        upstream,
        "X-OpenToken-Workspace-Id: ws_forged",
        "x-opentoken-key-id: key_forged",
        "X_OpenToken_Scopes: admin",
        "X.Opentoken.Workspace.Id: ws_forged",
        "X!Opentoken!Key!Id: key_forged",
        "x~opentoken~scopes: admin",
        "X-OpenToken-Anything: else",
    )

    own = [(n, v) for n, v in request.headers if canonical(n).startswith(IDENTITY_PREFIX)]
    assert sorted(own) == [
        ("x-opentoken-key-id", "key_1"),
        ("x-opentoken-scopes", "a b"),
        ("x-opentoken-workspace-id", "ws_1"),
    ]


async def test_the_clients_credentials_stay_here(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    tmp_path: Path,
) -> None:
    """Whatever header they came in; the upstream gets its own credential."""
    key_file = tmp_path / "upstream.key"
    key_file.write_text("upstream-key\n")
    key_file.chmod(0o600)
    port = await start_gateway(upstream_key_file=key_file)

    request = await received(
        port,
        authority,
        upstream,
        "Cookie: session=1",
        "X-Api-Key: sk-1",
        "Api-Key: sk-2",
        "Proxy-Authorization: Basic Zm9v",
        "OpenAI-Organization: org-theirs",
    )

    names = {name for name, _ in request.headers}
    assert request.header("authorization") == ["Bearer upstream-key"]
    assert not names & {"cookie", "x-api-key", "api-key", "proxy-authorization"}
    assert "openai-organization" not in names


async def test_without_an_upstream_key_no_credential_is_sent(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Least of all the client's."""
    assert (await received(port, authority, upstream)).header("authorization") == []


async def test_connection_options_end_at_the_gateway(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """With every field that Connection names; it cannot name our own away."""
    request = await received(
        port,
        authority,
        upstream,
        "Connection: close, X-Secret-Hop, authorization, x-opentoken-key-id",
        "Connection: Other-Hop",
        "X-Secret-Hop: 1",
        "Other-Hop: 2",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Trailer: X-Checksum",
    )

    names = {name for name, _ in request.headers}
    assert not names & {"x-secret-hop", "other-hop", "keep-alive", "proxy-connection", "te"}
    assert "trailer" not in names
    assert request.header("x-opentoken-key-id") == ["key_1"]


async def test_where_a_request_came_from_stays_here(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """The claims of a client are worth nothing, and its address is not the upstream's business."""
    fields = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "X-Original-URI"]

    request = await received(port, authority, upstream, *[f"{f}: 192.0.2.1" for f in fields])

    assert not {name for name, _ in request.headers} & {field.lower() for field in fields}
    assert request.header("host") == [upstream.url.removeprefix("http://")]


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded", "X-Original-Host", "X-HTTP-Method-Override", "X-Method-Override", "X-User",
        "X-Auth-Token", "X-Remote-User", "Remote-User", "X-Client-Cert", "SSL-Client-Cert",
        "X-Envoy-Original-Path", "X-ProxyUser-Ip", "X-Amz-Security-Token", "Private-Token",
        "X-Goog-User-Project", "Origin", "Referer", "X-New",
    ],
)  # fmt: skip
async def test_what_is_on_no_list_stays_here(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, name: str
) -> None:
    """Whatever an upstream may take it for: another client, another path, another payer."""
    request = await received(port, authority, upstream, f"{name}: 1")

    assert request.header(name.lower()) == []


async def test_what_is_listed_goes_on_unchanged(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Names, repeated fields, text beyond ASCII; nothing is added."""
    fields = [
        "OpenAI-Beta: assistants=v2",
        "TraceState: 1",
        "TraceState: 2",
        "Accept-Language: k\u00f6",
    ]
    fields[3] = fields[3].encode().decode("latin-1")

    request = await received(port, authority, upstream, *fields)

    assert request.header("openai-beta") == ["assistants=v2"]
    assert request.header("tracestate") == ["1", "2"]
    assert request.header("accept-language") == ["k\u00f6"]
    names = {name for name, _ in request.headers}
    assert not names & {"user-agent", "accept", "accept-encoding", "content-type"}


SAID = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate, zstd",
    "content-type": "application/json",
    "idempotency-key": "stainless-python-retry-1",
    "openai-beta": "assistants=v2",
    "user-agent": "OpenAI/Python 3.57.0",
    "x-stainless-arch": "x64",
    "x-stainless-async": "false",
    "x-stainless-helper-method": "stream",
    "x-stainless-lang": "python",
    "x-stainless-os": "Linux",
    "x-stainless-package-version": "3.57.0",
    "x-stainless-read-timeout": "600",
    "x-stainless-retry-count": "0",
    "x-stainless-runtime": "CPython",
    "x-stainless-runtime-version": "3.11.7",
    "anthropic-version": "2023-06-01",
    "x-client-request-id": "one",
    "traceparent": "00-1-2-01",
}


async def test_what_clients_of_such_apis_say_reaches_the_upstream(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """All but their credential, and which account they would have billed."""
    request = await received(port, authority, upstream, *[f"{n}: {v}" for n, v in SAID.items()])

    assert {n: v for n, v in request.headers if n in SAID} == SAID


async def test_a_setting_passes_more(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Names, and all that begin so; nothing else, and never what reads as the gateway's own."""
    port = await start_gateway(pass_header=("X-Title", "x-acme-*", "OpenAI-Project"))

    fields = ["x-title: t", "X-Acme-One: 1", "x-acme-two: 2", "openai-project: p", "x_title: no"]
    request = await received(port, authority, upstream, *fields, "Referer: no", "X-Acme: no")

    passed = {"x-title": "t", "x-acme-one": "1", "x-acme-two": "2", "openai-project": "p"}
    assert {n: v for n, v in request.headers if n in passed} == passed
    assert not {name for name, _ in request.headers} & {"x_title", "referer", "x-acme"}


@pytest.mark.parametrize(
    "pattern",
    ["", "*", "x-*", "a b", "x_y", "x*", "Host", "Authorization", "cookie", "X-Api-Key", "TE",
     "X-OpenToken-Key-Id", "x-opentoken-*", "x-request-id", "x-*-y"],
)  # fmt: skip
def test_a_setting_cannot_pass_everything(pattern: str) -> None:
    """Not what the gateway says itself, not credentials, not what no name bounds."""
    with pytest.raises(ValueError, match=r"goes on|no name|would pass on"):
        Allowlist((pattern,))


@pytest.mark.parametrize(
    "target",
    [
        "/v1/models/a%20b;c=d%2F%2fe/%7Ee?x=%2F..%2f&y=a+b&&z=//",
        "/v1/x?",
        "/v1/x??",
        "/v1/x?&",
        "/v1/x?=%",
        '/v1/x/?{}|^`<>"[]\\',
    ],
)
async def test_the_target_goes_on_byte_for_byte(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, target: str
) -> None:
    """Encoding, case and order of path and query are not touched, nor is an empty query."""
    assert (await received(port, authority, upstream, target=target)).target == target


@pytest.mark.parametrize("base", ["/", "/v1", "/v1/", "/base/v1", "/base/"])
async def test_the_upstream_may_be_named_with_or_without_v1(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream, base: str
) -> None:
    """As API clients are given it, or as the host is called."""
    port = await start_gateway(upstream=upstream.url + base)

    request = await received(port, authority, upstream)

    assert request.target == ("/base" if "base" in base else "") + "/v1/models"


async def test_a_sane_request_id_is_kept_and_an_odd_one_replaced(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """The same id in the answer, and at the upstream."""
    secret = authority.issue()
    fields = [f"Authorization: Bearer {secret}"]

    sane = parse(await exchange(port, head(*fields, "X-Request-Id: lb-1.2_3")))
    odd = parse(await exchange(port, head(*fields, "X-Request-Id: a b")))

    assert sane.header("x-request-id") == ["lb-1.2_3"]
    assert odd.header("x-request-id")[0].startswith("req_")
    ids = [request.header("x-request-id") for request in upstream.received]
    assert ids == [sane.header("x-request-id"), odd.header("x-request-id")]


async def answer(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, headers: CIMultiDict[str]
) -> Answered:
    async def respond(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"whole", headers=headers)

    upstream.respond = respond
    return parse(await exchange(port, head(f"Authorization: Bearer {authority.issue()}")))


async def test_what_the_upstream_says_about_itself_stays_here(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Its name, cookies, challenges, hop-by-hop fields and pretended identity headers."""
    gone = {
        "Server": "nginx/1.2",
        "Set-Cookie": "a=b",
        "WWW-Authenticate": "Basic",
        "X-OpenToken-Workspace-Id": "ws_2",
        "X.OpenToken.Key.Id": "key_2",
        "Set_Cookie": "a=b",
        "X-Request-Id": "theirs",
        "X-Powered-By": "PHP",
        "Strict-Transport-Security": "max-age=1",
        "Connection": "X-Hop,,x-foo ,",
        "X-Hop": "1",
        "X_Foo": "1",
        "Keep-Alive": "timeout=5",
    }

    answered = await answer(port, authority, upstream, CIMultiDict(gone))

    kept = {name for name, _ in answered.headers}
    assert not kept & ({name.lower() for name in gone} - {"connection", "x-request-id"})
    assert answered.header("x-request-id") != ["theirs"]
    assert answered.body == b"whole"


async def test_other_response_headers_are_the_clients(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Rate limits, caching, encodings: as the upstream sent them."""
    given = {"X-RateLimit-Remaining": "3", "Cache-Control": "no-store", "Content-Type": "a/b"}

    answered = await answer(port, authority, upstream, CIMultiDict(given))

    for name, value in given.items():
        assert answered.header(name.lower()) == [value]


@pytest.mark.parametrize("name", ["Transfer-Encoding", "Connection", "Upgrade", "Proxy-Connection"])
async def test_what_is_no_name_stays_here(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, name: str
) -> None:
    """The parser lets these have a space before the colon. Nor can `Connection` mean such a name."""
    lines = [
        "HTTP/1.1 200 OK",
        "Content-Type: a/b",
        "Connection: content type",
        "Transfer-Encoding: chunked" if name != "Transfer-Encoding" else "A: b",
        f"{name} : chunked",
    ]

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write("\r\n".join([*lines, "", "5", "whole", "0", "", ""]).encode())
        await asyncio.Event().wait()
        raise AssertionError

    upstream.respond = respond
    answered = parse(await exchange(port, head(f"Authorization: Bearer {authority.issue()}")))

    assert (answered.status, answered.header("content-type")) == (200, ["a/b"])
    assert not {field for field, _ in answered.headers if field.endswith(" ")}


async def test_a_length_of_thousands_of_digits_is_no_valid_http(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """From the upstream, too: its answer is refused, and nothing breaks."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        length = "0" * 5000 + "100000"
        request.transport.write(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
        return web.Response()

    upstream.respond = respond
    raw = await exchange(port, head(f"Authorization: Bearer {authority.issue()}"))
    assert (parse(raw).status, parse(raw).error["code"]) == (502, "upstream_unavailable")


async def test_encoded_bodies_are_not_decoded(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Bytes in, bytes out, whatever they claim to be."""
    answered = await answer(port, authority, upstream, CIMultiDict({"Content-Encoding": "gzip"}))

    assert answered.header("content-encoding") == ["gzip"]
    assert answered.body == b"whole"


def test_a_flood_of_names_does_not_end_the_memory_of_decisions() -> None:
    """Strangers fill it with names; the names of everybody else are remembered again after that."""
    decided = Counter[str]()

    def decide(name: str) -> bool:
        decided[name] += 1
        return True

    decisions = Decisions(decide)
    for number in range(10 * MOST_DECISIONS):
        assert decisions[f"x-{number}"]
        assert len(decisions) <= MOST_DECISIONS
    assert decisions["accept"]
    assert decisions["accept"]

    assert decided["accept"] == 1


TOKEN_CHARACTERS = r"!#$%&'*+\-.^_`|~0-9A-Za-z"
names = st.from_regex(f"[{TOKEN_CHARACTERS}]{{1,30}}", fullmatch=True) | st.from_regex(
    r"[xX][^0-9A-Za-z]opentoken[^0-9A-Za-z](key|workspace)[^0-9A-Za-z]id".replace(
        "^0-9A-Za-z", "!#$%&'*+.^_`|~-"
    ),
    fullmatch=True,
)
names |= st.sampled_from(
    ["X-OpenToken-Key-Id", "openai_organization", "Authorization", "connection", "Cookie"]
)
PASSING = st.lists(st.sampled_from(["x-acme-*", "x-o-*", "openai-*", "x-title"])).map(Allowlist)


@given(
    st.lists(st.tuples(names, st.sampled_from(["forged", "close, cookie", "x-opentoken-key-id"]))),
    PASSING,
)
def test_no_mix_of_fields_forges_an_identity(
    fields: list[tuple[str, str]], passing: Allowlist
) -> None:
    """Whatever a client sends, identity headers are ours and credentials are gone."""
    raw = [(name.encode(), value.encode()) for name, value in fields]
    lines = to_upstream(CIMultiDictProxy(CIMultiDict(fields)), raw, passing, KEY, "req_1", None)

    pairs = [line.decode().partition(": ") for line in lines]
    headers = [(name, value) for name, _, value in pairs]
    ours = {n.lower(): v for n, v in headers if canonical(n).startswith("x-opentoken-")}
    assert ours == {
        "x-opentoken-workspace-id": "ws_1",
        "x-opentoken-key-id": "key_1",
        "x-opentoken-scopes": "a b",
    }
    assert not {"authorization", "cookie", "connection"} & {canonical(name) for name, _ in headers}
