"""The shipped configurations, each in the real program, between clients and an API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, WSServerHandshakeError, web

from keyauthority.edge.envelope import Refusal
from keyauthority.edge.identity import IDENTITY, canonical
from tests.edges.paths import INSIDE, OUTSIDE, is_inside
from tests.edges.proxies import DEPLOY, Edge, patiently
from tests.edges.stage import PIECE, Stage
from tests.gateway.parts import Answered, Received, parse
from tests.rpc.parts import issue

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = 50 * 1024 * 1024
IMAGES = "only a key without scopes may make it"
UNAVAILABLE = Refusal.VERIFICATION_UNAVAILABLE.status


def bearer(secret: str) -> str:
    return f"Authorization: Bearer {secret}"


def check_refused(answer: Answered, refusal: Refusal) -> None:
    """The answer is what the gateway itself would say."""
    assert (answer.status, answer.body) == (refusal.status, refusal.body)
    assert answer.header("content-type") == ["application/json"]
    challenge = refusal.headers.get("WWW-Authenticate")
    assert answer.header("www-authenticate") == ([challenge] if challenge else [])


def identity(received: Received) -> list[tuple[str, str]]:
    """All that an API might take for our header fields."""
    return [one for one in received.headers if canonical(one[0]).startswith("x-opentoken-")]


async def accepted(edge: Edge, stage: Stage, *fields: str, target: str = "/v1/models") -> Received:
    """The request as the API got it."""
    stage.api.received.clear()
    answer = await edge.ask(*fields, target=target)
    assert (answer.status, json.loads(answer.body)) == (200, {"object": "fake"})
    [received] = stage.api.received
    return received


async def test_a_good_key_reaches_the_api(edge: Edge, stage: Stage) -> None:
    """As it was sent, with the identity of the key."""
    target = "/v1/models/a?b=%20c&d"
    received = await accepted(
        edge, stage, bearer(stage.keys.scoped), "X-Request-Id: mine-1", target=target
    )

    assert (received.method, received.target) == ("GET", target)
    assert received.header("x-opentoken-workspace-id") == [stage.workspace_id]
    assert received.header("x-opentoken-key-id")[0].startswith("key_")
    assert received.header("x-opentoken-scopes") == ["chat:write models:read"]
    assert received.header("x-request-id") == ["mine-1"]


async def test_the_api_never_sees_the_key(edge: Edge, stage: Stage) -> None:
    """Nor is another of the places kept in which clients send keys."""
    secret = stage.keys.good
    received = await accepted(
        edge, stage, bearer(secret), f"X-Api-Key: {secret}", f"Api-Key: {secret}"
    )

    assert secret not in str(received.headers)
    assert received.header("authorization") == []


@pytest.mark.parametrize(
    ("presented", "refusal"),
    [
        ("", Refusal.MISSING_AUTH),
        ("Authorization: Basic dTpw", Refusal.MISSING_AUTH),
        ("noise", Refusal.INVALID_KEY),
        ("unknown", Refusal.INVALID_KEY),
        ("revoked", Refusal.INVALID_KEY),
        ("expired", Refusal.EXPIRED_KEY),
        ("suspended", Refusal.WORKSPACE_SUSPENDED),
    ],
)
async def test_a_bad_key_is_refused_as_the_gateway_does(
    edge: Edge, stage: Stage, presented: str, refusal: Refusal
) -> None:
    """Status, content type, challenge and envelope, whatever the path ends with; the API is not asked."""
    stage.api.received.clear()
    fields = [presented] if ":" in presented else []
    if presented and not fields:
        fields = [bearer(getattr(stage.keys, presented, presented))]

    check_refused(await edge.ask(*fields, target="/v1/files/a.html"), refusal)
    assert stage.api.received == []


async def test_a_key_with_scopes_may_do_what_the_rules_allow(edge: Edge, stage: Stage) -> None:
    """The proxy names method and path as they go to the API; a client that names others gains nothing."""
    others = [
        "X-Forwarded-Uri: /v1/models",
        "X-Original-URI: /v1/models",
        "X-Forwarded-Method: GET",
        "X-Original-Method: GET",
    ]
    stage.api.received.clear()

    answer = await edge.ask(bearer(stage.keys.scoped), *others, target="/v1/images/generations")

    assert answer.status == Refusal.INSUFFICIENT_SCOPE.status
    assert answer.body == Refusal.INSUFFICIENT_SCOPE.detailed(IMAGES)
    assert stage.api.received == []


@pytest.mark.parametrize("field", ["", "X-OpenToken-Me: 1"])
async def test_an_unacceptable_request_is_refused_by_its_own_status(
    edge: Edge, stage: Stage, field: str
) -> None:
    """400 is neither of the two statuses that some proxies know: a key in the target, a lookalike."""
    target = f"/v1/models?key={stage.keys.good}" if not field else "/v1/models"
    fields = [field] if field else []

    check_refused(
        await edge.ask(bearer(stage.keys.good), *fields, target=target), Refusal.BAD_REQUEST
    )


@pytest.mark.parametrize(
    "name",
    [
        "X-OpenToken-Workspace-Id",
        "x-opentoken-key-id",
        "X-OPENTOKEN-SCOPES",
        "X_OpenToken_Workspace_Id",
        "X-OpenToken_Key-Id",
        "X.OpenToken.Key.Id",
        "x~opentoken~scopes",
    ],
)
async def test_no_spelling_of_an_identity_gets_through(edge: Edge, stage: Stage, name: str) -> None:
    """It is replaced or dropped, or its request refused."""
    stage.api.received.clear()
    answer = await edge.ask(bearer(stage.keys.good), f"{name}: admin", f"{name}: admin")

    if answer.status == 400:
        check_refused(answer, Refusal.BAD_REQUEST)
        assert stage.api.received == []
        return
    [received] = stage.api.received
    check_identity(received, stage)


async def test_no_client_takes_the_identity_away(edge: Edge, stage: Stage) -> None:
    """`Connection` names fields that a proxy drops: not those that it adds."""
    fields = ["Connection: X-OpenToken-Workspace-Id, X-OpenToken-Key-Id"]
    stage.api.received.clear()
    answer = await edge.ask(bearer(stage.keys.good), *fields)

    if answer.status == 400:
        assert stage.api.received == []
        return
    [received] = stage.api.received
    check_identity(received, stage)


async def test_no_path_leads_out_of_v1(edge: Edge, stage: Stage) -> None:
    """A proxy that compares the path in one reading, and an API that has another, would differ."""
    stage.api.received.clear()

    asked = [edge.ask(bearer(stage.keys.good), target=target) for target in OUTSIDE]
    statuses = dict(
        zip(OUTSIDE, [answer.status for answer in await asyncio.gather(*asked)], strict=True)
    )

    assert not {target: s for target, s in statuses.items() if s not in (200, 400, 404)}
    received = [received.target for received in stage.api.received]
    assert [target for target in received if not is_inside(target)] == []
    # A proxy may resolve a path before it asks, and passes on what it named.
    assert len(received) == list(statuses.values()).count(200)


async def test_paths_below_v1_get_through(edge: Edge, stage: Stage) -> None:
    """Dots, escapes and parameters that no API reads elsewhere."""
    for target in INSIDE:
        assert is_inside(
            (await accepted(edge, stage, bearer(stage.keys.good), target=target)).target
        )


async def test_a_proxy_passes_on_no_escape_that_it_cannot_decode(edge: Edge, stage: Stage) -> None:
    """Or it would compare nothing of that path. Envoy compares paths as they are written."""
    answer = await edge.ask(bearer(stage.keys.good), target="/v1/%zz")

    assert answer.status == (200 if edge.proxy.program == "envoy" else 400)


@pytest.mark.parametrize("name", ["Workspace-Id", "Key-Id", "Scopes"])
async def test_caddy_drops_the_clients_identity_before_it_asks(name: str) -> None:
    """Some of its versions copy no empty field of the answer, and leave the client's."""
    lines = [line.strip() for line in (DEPLOY / "caddy/Caddyfile").read_text().splitlines()]
    [question] = [at for at, line in enumerate(lines) if line.startswith("forward_auth")]

    assert f"request_header -X-OpenToken-{name}" in lines[:question]


def check_identity(received: Received, stage: Stage) -> None:
    ours = identity(received)
    assert {name for name, _ in ours} <= IDENTITY
    assert "admin" not in dict(ours).values()
    assert received.header("x-opentoken-workspace-id") == [stage.workspace_id]
    assert len(received.header("x-opentoken-key-id")) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 504])
async def test_what_the_api_refuses_is_its_own_answer(
    edge: Edge, stage: Stage, status: int
) -> None:
    """Also with the statuses of which the proxy has pages of its own."""
    stage.api.respond = lambda _: _answer(web.Response(status=status, text="the API's own"))

    answer = await edge.ask(bearer(stage.keys.good))

    assert (answer.status, answer.body) == (status, b"the API's own")


async def _answer(response: web.Response) -> web.StreamResponse:
    return response


async def test_events_arrive_one_by_one(edge: Edge, stage: Stage, http: ClientSession) -> None:
    """The API waits for each to have arrived before it sends the next."""
    arrived = asyncio.Semaphore(0)

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(3):
            await response.write(f"data: {number}\n\n".encode())
            await arrived.acquire()
        return response

    stage.api.respond = respond
    headers = {"Authorization": f"Bearer {stage.keys.good}"}

    async def read() -> list[bytes] | None:
        async with http.get(f"http://127.0.0.1:{edge.port}/v1/stream", headers=headers) as answer:
            if answer.status == UNAVAILABLE:
                return None
            events = []
            async for line in answer.content:
                if line.strip():
                    events.append(line.strip())
                    arrived.release()
            return events

    assert await patiently(read) == [b"data: 0", b"data: 1", b"data: 2"]


async def test_a_large_body_arrives_whole(edge: Edge, stage: Stage, http: ClientSession) -> None:
    """50 MiB: no proxy keeps it in memory or refuses it."""
    received = []

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        received.append(size)
        return web.Response()

    stage.api.respond = respond
    piece = bytes(16 * PIECE)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(LARGE // len(piece)):
            yield piece

    headers = {"Authorization": f"Bearer {stage.keys.good}", "Content-Length": str(LARGE)}
    url = f"http://127.0.0.1:{edge.port}/v1/files"

    async def send() -> int | None:
        async with http.post(url, headers=headers, data=body()) as answer:
            return None if answer.status == UNAVAILABLE else answer.status

    assert await patiently(send) == 200
    assert received == [LARGE]


async def test_a_websocket_is_carried(edge: Edge, stage: Stage, http: ClientSession) -> None:
    """To the proxy's own API, with the same verdict first."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"you said {message.data}")
        return socket

    stage.api.respond = respond
    url = f"ws://127.0.0.1:{edge.port}/v1/realtime"
    headers = {"Authorization": f"Bearer {stage.keys.good}"}

    async def talk() -> str | None:
        try:
            async with http.ws_connect(url, headers=headers) as socket:
                await socket.send_str("hello")
                return await socket.receive_str()
        except WSServerHandshakeError as error:
            if error.status == UNAVAILABLE:
                return None
            raise

    assert await patiently(talk) == "you said hello"


async def test_a_websocket_without_a_key_is_refused(edge: Edge, stage: Stage) -> None:
    """As any other request."""
    upgrade = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    lines = ["GET /v1/realtime HTTP/1.1", "Host: edge", "Connection: Upgrade", *upgrade]
    request = "\r\n".join([*lines, "Upgrade: websocket", "", ""]).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = parse(await reader.readuntil(b"\r\n\r\n"))
        [length] = answer.header("content-length")
        answer.body = await reader.readexactly(int(length))
    writer.close()

    check_refused(answer, Refusal.MISSING_AUTH)


async def test_a_revoked_key_is_refused_from_the_moment_of_the_receipt(
    edge: Edge, stage: Stage
) -> None:
    """The verdict that the proxy's connection was answered a moment before counts no more."""
    issued = await issue(stage.authority.root, stage.workspace_id)
    await accepted(edge, stage, bearer(issued.secret))

    await stage.revoke(issued.key.id)

    check_refused(await edge.ask(bearer(issued.secret)), Refusal.INVALID_KEY)


async def test_without_verdicts_the_answer_is_503_with_an_envelope(
    edge: Edge, stage: Stage
) -> None:
    """Whoever gives them is gone: no request gets through, no key is called bad, and it ends with that."""
    await accepted(edge, stage, bearer(stage.keys.good))
    stage.api.received.clear()
    async with stage.without_verdicts():
        for secret in (stage.keys.good, stage.keys.revoked):
            answer = await edge.ask_once(bearer(secret))
            check_refused(answer, Refusal.VERIFICATION_UNAVAILABLE)
        assert stage.api.received == []

    await accepted(edge, stage, bearer(stage.keys.good))


async def test_an_api_that_is_gone_is_no_empty_answer(edge: Edge, stage: Stage) -> None:
    """502 or 503; what it says is the proxy's own, and nothing of keys."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        raise ConnectionResetError

    stage.api.respond = respond

    answer = await edge.ask_once(bearer(stage.keys.good))

    assert answer.status in (502, 503)
    assert answer.body
    assert b"verification_unavailable" not in answer.body
