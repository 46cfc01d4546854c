"""`/authz`, as the proxies ask it."""

from __future__ import annotations

import asyncio

import pytest

from keyauthority.edge.envelope import ERROR, LONGEST_ERROR, Refusal
from keyauthority.scopes.catalogue import parse_catalogue
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
    valid_reply,
)
from tests.gateway.test_table import check_envelope

RULES = parse_catalogue("""
[[scope]]
name = "images"
description = "Pictures"
allow = ["* /v1/images", "* /v1/chat"]

[[scope]]
name = "files"
description = "Files"
allow = ["GET /v1/files", "GET /chat"]
""")


async def ask(port: int, secret: str, *fields: str, target: str = "/authz") -> Answered:
    raw = await exchange(port, head(f"Authorization: Bearer {secret}", *fields, target=target))
    return parse(raw)


@pytest.mark.parametrize("target", ["/authz", "/authz?x=1", "/authz/v1/chat", "/authz/other"])
async def test_a_good_key_is_200_with_its_identity(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, target: str
) -> None:
    """The proxy copies the headers; nothing is forwarded."""
    answer = await ask(port, authority.issue(valid_reply("a", "b")), target=target)

    assert answer.status == 200
    assert answer.body == b""
    assert answer.header("x-opentoken-workspace-id") == ["ws_1"]
    assert answer.header("x-opentoken-key-id") == ["key_1"]
    assert answer.header("x-opentoken-scopes") == ["a b"]
    assert upstream.received == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_it_says_the_same_however_the_connection_goes_on(
    port: int, authority: RecordingAuthority, method: str
) -> None:
    """One that stays open has the head that is written at once."""
    closing = head(
        f"Authorization: Bearer {authority.issue(valid_reply('a', 'b'))}",
        "X-Request-Id: the-same",
        method=method,
        target="/authz",
    )
    staying = closing.replace(b"Connection: close\r\n", b"")

    answers = (await exchange(port, staying + closing)).removesuffix(b"\r\n\r\n")

    first, last = (set(parse(one).headers) for one in answers.split(b"\r\n\r\n"))
    assert {name for name, _ in first ^ last} <= {"date", "connection", "content-length"}
    assert ("connection", "close") in last - first


@pytest.mark.parametrize(
    ("verdict", "fields", "target"),
    [
        pytest.param(valid_reply(), [], "/authz", id="good"),
        pytest.param(valid_reply("images"), [], "/authz/v1/chat?x=1", id="appended"),
        pytest.param(valid_reply("a", "b"), ["X-Forwarded-Uri: /v1//x"], "/authz", id="ambiguous"),
        pytest.param(valid_reply("a", "b"), ["X_OpenToken_Me: 1"], "/authz", id="alike"),
        pytest.param(valid_reply("a", "b"), [], "/authz?credits=1", id="credits"),
        pytest.param(valid_reply("a", "b"), [], "/authzother", id="elsewhere"),
        pytest.param(valid_reply("a", "b"), [], "/authz/v1/images", id="unscoped"),
        pytest.param(valid_reply("a", "b"), ["Upgrade: h2c"], "/authz", id="upgrade"),
        pytest.param(reply(pb.VERDICT_REVOKED), [], "/authz", id="revoked"),
        pytest.param(reply(pb.VERDICT_DISABLED), [], "/authz", id="paused"),
    ],
)
async def test_a_connection_answers_a_second_request_as_the_first(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    verdict: pb.VerifyResponse,
    fields: list[str],
    target: str,
) -> None:
    """The second is answered in the step in which its head arrives, where nothing is to be awaited."""
    port = await start_gateway(scope_rules=RULES)
    secret = authority.issue(verdict)
    closing = head(
        f"Authorization: Bearer {secret}", "X-Request-Id: the-same", *fields, target=target
    )
    good = head(
        f"Authorization: Bearer {authority.issue()}", "X-Forwarded-Uri: /v1", target="/authz"
    )
    await ask(port, secret)

    first = parse(await exchange(port, closing))
    both = await exchange(port, good.replace(b"Connection: close\r\n", b""), closing, pause=0.1)
    one, second = (parse(b"HTTP/1.1" + part) for part in both.split(b"HTTP/1.1")[1:])

    assert one.status == 200
    assert (second.status, second.body) == (first.status, first.body)
    assert [field for field in second.headers if field[0] != "date"] == [
        field for field in first.headers if field[0] != "date"
    ]


async def test_a_line_break_in_what_the_authority_says_adds_no_field(
    port: int, authority: RecordingAuthority
) -> None:
    secret = authority.issue(valid_reply("a", "b\r\nx-evil: 1"))
    closing = head(f"Authorization: Bearer {secret}", target="/authz")
    staying = closing.replace(b"Connection: close\r\n", b"")

    assert await exchange(port, staying) == b""


async def test_a_key_without_scopes_has_an_empty_header(
    port: int, authority: RecordingAuthority
) -> None:
    """An absent one would leave a client's own copy standing in some proxies."""
    assert (await ask(port, authority.issue())).header("x-opentoken-scopes") == [""]


@pytest.mark.parametrize(
    "name",
    ["X_OpenToken_Key_Id", "X.Opentoken.Workspace.Id", "x~opentoken-scopes", "X-OpenToken-Me"],
)
async def test_a_name_that_reads_like_ours_is_refused(
    port: int, authority: RecordingAuthority, name: str
) -> None:
    """The proxy would leave it standing beside what it copies; copies by exact name it replaces."""
    check_envelope(await ask(port, authority.issue(), f"{name}: admin"), Refusal.BAD_REQUEST)
    assert (await ask(port, authority.issue(), "X-OpenToken-Key-Id: key_2")).status == 200


async def test_refusals_are_the_same_envelopes(port: int, authority: RecordingAuthority) -> None:
    """A proxy that passes them on answers as the gateway would."""
    check_envelope(parse(await exchange(port, head(target="/authz"))), Refusal.MISSING_AUTH)
    revoked = authority.issue(reply(pb.VERDICT_REVOKED))
    check_envelope(await ask(port, revoked), Refusal.INVALID_KEY)


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        pytest.param([], "/authz", id="missing"),
        pytest.param([], "/authz/v1/x", id="appended"),
        pytest.param(["Authorization: Bearer nonsense"], "/authz", id="invalid"),
        pytest.param(["Transfer-Encoding: gzip"], "/authz", id="head"),
        pytest.param([f"X-Long: {'x' * 40_000}"], "/authz", id="large"),
        pytest.param(["No colon"], "/authz", id="unreadable"),
    ],
)
async def test_a_header_has_the_envelope_of_a_refusal(
    port: int, fields: list[str], target: str
) -> None:
    """For a proxy that passes on no body of the answer: what it says is the same, in one line."""
    answer = parse(await exchange(port, head(*fields, target=target)))

    assert answer.status >= 400
    assert answer.header(ERROR) == [answer.body.decode()]


async def test_only_a_proxy_gets_that_header(port: int, authority: RecordingAuthority) -> None:
    """Others read the body."""
    refused = parse(await exchange(port, head(target="/v1/models")))

    assert (refused.status, refused.header(ERROR)) == (401, [])
    assert (await ask(port, authority.issue())).header(ERROR) == []


async def test_a_proxy_that_may_not_connect_gets_the_header(start_gateway: StartGateway) -> None:
    """The answer to a connection too many comes before any question."""
    port = await start_gateway(max_connections=1)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    # It counts once it is answered.
    answer = parse(await exchange(port, pause=0))
    writer.close()

    assert answer.status == 503
    assert answer.header(ERROR) == [answer.body.decode()]


@pytest.mark.parametrize("refusal", Refusal, ids=lambda row: row.name)
def test_the_header_is_bounded_and_one_line(refusal: Refusal) -> None:
    """Proxies have a few kilobytes for the head of an answer."""
    assert len(refusal.json) <= LONGEST_ERROR
    assert refusal.json.isascii()
    assert refusal.json.isprintable()


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        pytest.param(
            ["X-Original-URI: /v1/images/x?q=/v1", "X-Original-Method: POST"], "/authz", id="nginx"
        ),
        pytest.param(
            ["X-Forwarded-Uri: /v1/images", "X-Forwarded-Method: POST"],
            "/authz",
            id="traefik-caddy",
        ),
        pytest.param([], "/authz/v1/images", id="envoy"),
        pytest.param(
            ["X-Forwarded-Uri: /v1/chat", "X-Forwarded-Method: POST"],
            "/authz/v1/images",
            id="envoy-and-client",
        ),
        pytest.param(
            ["X-Original-URI: /v1/images", "X-Forwarded-Uri: /v1/chat", "X-Original-Method: GET"],
            "/authz",
            id="two-headers",
        ),
    ],
)
async def test_scopes_are_asked_for_the_path_told(
    start_gateway: StartGateway, authority: RecordingAuthority, fields: list[str], target: str
) -> None:
    """A client that adds another path can't make a scope allow more."""
    port = await start_gateway(scope_rules=RULES)
    other, scoped = authority.issue(valid_reply("files")), authority.issue(valid_reply("images"))

    check_envelope(
        await ask(port, other, *fields, target=target), Refusal.INSUFFICIENT_SCOPE, "images"
    )
    assert (await ask(port, scoped, *fields, target=target)).status == 200
    assert (await ask(port, authority.issue(), *fields, target=target)).status == 200


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        pytest.param([], "/authz", id="nothing"),
        pytest.param(["X-Original-URI: /v1/images"], "/authz", id="no-method"),
        pytest.param(["X-Original-Method: GET"], "/authz", id="no-path"),
    ],
)
async def test_scopes_allow_nothing_where_method_or_path_is_untold(
    start_gateway: StartGateway, authority: RecordingAuthority, fields: list[str], target: str
) -> None:
    """Nginx asks with GET, whatever its client's method is. Without scopes it is of no matter."""
    port = await start_gateway(scope_rules=RULES)
    scoped = authority.issue(valid_reply("images", "files"))

    answer = await ask(port, scoped, *fields, target=target)

    check_envelope(
        answer,
        Refusal.INSUFFICIENT_SCOPE,
        "the proxy has to name the method and the path of the request",
    )
    assert (await ask(port, authority.issue(), *fields, target=target)).status == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["X-Original-URI: /v1/files", "X-Original-Method: GET"], 200),
        (["X-Original-URI: /v1/files", "X-Original-Method: DELETE"], 403),
        (["X-Original-URI: /v1/files", "X-Original-Method: get"], 403),
        (
            [
                "X-Original-URI: /v1/files",
                "X-Original-Method: DELETE",
                "X-Forwarded-Method: GET",
            ],
            403,
        ),
        (["X-Original-URI: /chat", "X-Original-Method: GET"], 200),
        (["X-Original-URI: /other", "X-Original-Method: GET"], 403),
    ],
)
async def test_a_scope_allows_methods_of_paths_wherever_they_are(
    start_gateway: StartGateway, authority: RecordingAuthority, fields: list[str], status: int
) -> None:
    """Also outside /v1: rules may name what the proxy guards. Each method that is named has to be allowed."""
    port = await start_gateway(scope_rules=RULES)

    answer = await ask(port, authority.issue(valid_reply("files")), *fields)

    assert answer.status == status


@pytest.mark.parametrize("scopes", [(), ("images", "files")], ids=["full", "scoped"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/x/../images",
        "/v1/x%2f..%2fimages",
        "//v1/images",
        "/v1/%zz/../../admin",
        "/v1/..;/admin",
        "/v1/..%5cadmin",
        "/admin%2f..%2fv1/images",
    ],
)
async def test_an_ambiguous_path_is_not_judged(
    start_gateway: StartGateway, authority: RecordingAuthority, path: str, scopes: tuple[str, ...]
) -> None:
    """Proxy and upstream might read it in two ways, whatever the key may do; however it is named."""
    port = await start_gateway(scope_rules=RULES)
    secret = authority.issue(valid_reply(*scopes))

    for name in ("Original", "Forwarded"):
        answer = await ask(port, secret, f"X-{name}-URI: {path}?x=1", f"X-{name}-Method: GET")
        check_envelope(answer, Refusal.BAD_REQUEST)
    check_envelope(await ask(port, secret, target=f"/authz{path}"), Refusal.BAD_REQUEST)


async def test_a_proxys_clients_do_not_brake_each_other(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """All of them come from its one address."""
    port = await start_gateway(max_refusals=1)
    for _ in range(3):
        assert (await ask(port, authority.issue(reply(pb.VERDICT_REVOKED)))).status == 401

    assert (await ask(port, authority.issue())).status == 200
