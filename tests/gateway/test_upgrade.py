"""Offers of another protocol, which a server may ignore, and the one that nothing else answers."""

from __future__ import annotations

import shutil
import subprocess
from asyncio import to_thread

import pytest

from keyauthority.edge.envelope import Refusal
from tests.gateway.parts import FakeUpstream, RecordingAuthority, exchange, head, parse
from tests.gateway.test_table import check_envelope

H2C = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAA"]
"""What `curl --http2` and Java's client say first."""
WEBSOCKET = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]
TLS = ["Connection: upgrade", "Upgrade: TLS/1.0, HTTP/1.1"]
UNCONNECTED = ["Upgrade: h2c"]


def offering(secret: str, offer: list[str], target: str, body: bytes = b"") -> bytes:
    """A request that makes *offer*, on a connection that may have another."""
    fields = [f"Authorization: Bearer {secret}", *offer, f"Content-Length: {len(body)}"]
    whole = head(*fields, target=target, method="POST" if body else "GET")
    return whole.replace(b"Connection: close\r\n", b"") + body


@pytest.mark.parametrize("offer", [H2C, TLS, UNCONNECTED], ids=["h2c", "tls", "unconnected"])
@pytest.mark.parametrize("target", ["/v1/models", "/authz", "/healthz", "/readyz", "/v1/key"])
async def test_an_offer_is_ignored(
    port: int, authority: RecordingAuthority, offer: list[str], target: str
) -> None:
    """The answer is that to the same request without it, over HTTP/1.1."""
    secret = authority.issue()
    plain = parse(await exchange(port, head(f"Authorization: Bearer {secret}", target=target)))

    raw = await exchange(port, head(f"Authorization: Bearer {secret}", *offer, target=target))

    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert parse(raw).body == plain.body


@pytest.mark.parametrize("target", ["/authz", "/authz/v1/realtime", "/healthz", "/readyz"])
async def test_a_websocket_is_asked_about_as_anything_else(
    port: int, authority: RecordingAuthority, target: str
) -> None:
    """Caddy's `forward_auth` sends the client's head as it is; probes are sent through proxies."""
    secret = authority.issue()

    answer = parse(await exchange(port, offering(secret, WEBSOCKET, target)))

    assert (answer.status, answer.header("upgrade")) == (200, [])


@pytest.mark.parametrize("offer", ["websocket", "WebSocket", "h2c, websocket"])
async def test_a_websocket_of_the_api_is_refused_by_name(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, offer: str
) -> None:
    """Its client could do nothing with another answer."""
    fields = [f"Authorization: Bearer {authority.issue()}", *WEBSOCKET, f"Upgrade: {offer}"]
    fields.remove("Upgrade: websocket")

    answer = parse(await exchange(port, head(*fields, target="/v1/realtime")))

    check_envelope(answer, Refusal.WEBSOCKETS_OFF)
    assert upstream.received == []


@pytest.mark.parametrize("offer", [H2C, TLS], ids=["h2c", "tls"])
async def test_the_upstream_hears_nothing_of_an_offer(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, offer: list[str]
) -> None:
    """It concerns one connection, as do all that come with it; the body goes on."""
    raw = await exchange(port, offering(authority.issue(), offer, "/v1/x", b"body"))

    assert parse(raw).status == 200
    (received,) = upstream.received
    assert received.body == b"body"
    assert not {name for name, _ in received.headers} & {"connection", "upgrade", "http2-settings"}


@pytest.mark.parametrize("offer", [H2C, TLS, WEBSOCKET], ids=["h2c", "tls", "websocket"])
@pytest.mark.parametrize("target", ["/v1/x", "/authz"])
@pytest.mark.parametrize("size", [0, 9])
async def test_nothing_behind_an_offer_is_taken_for_a_request(
    port: int, authority: RecordingAuthority, offer: list[str], target: str, size: int
) -> None:
    """The parser loses a part of it: what is left may be another request than was sent."""
    secret = authority.issue()
    before = head(f"Authorization: Bearer {secret}", target="/authz")
    hidden = head(f"Authorization: Bearer {secret}", f"A: {'x' * 50}", target="/authz")
    asking = offering(secret, offer, target, b"x" * size)

    raw = await exchange(
        port, before.replace(b"Connection: close\r\n", b""), asking + hidden[:20], hidden[20:]
    )

    first, second = (parse(b"HTTP/1.1" + part) for part in raw.split(b"HTTP/1.1")[1:])
    assert first.status == 200
    assert second.header("connection") == ["close"]


async def test_curl_is_answered(port: int, authority: RecordingAuthority) -> None:
    """It offers HTTP/2 on a connection without TLS, and goes on as it is answered."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl: apt-get install curl")
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    bearer = f"Authorization: Bearer {authority.issue()}"
    command = [curl, "-s", "--noproxy", "*", "--http2", "-H", bearer, "-d", "{}", url, url]

    told = await to_thread(subprocess.check_output, [*command, "-w", "%{http_code}"], timeout=10)

    assert told == b'{"object": "fake"}200' * 2
