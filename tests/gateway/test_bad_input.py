"""Raw bytes that are no proper request: each gets a clear answer, and the gateway goes on."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyauthority.edge.envelope import Refusal
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import FakeUpstream, RecordingAuthority, exchange, head, parse
from tests.gateway.test_table import check_envelope

REQUEST = b"POST /v1/x HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\n"


def authorization(value: bytes) -> bytes:
    return (
        b"GET /v1/x HTTP/1.1\r\nHost: g\r\nConnection: close\r\nAuthorization: "
        + value
        + (b"\r\n\r\n")
    )


@pytest.mark.parametrize(
    "value",
    [b"", b"Basic Zm9vOmJhcg==", b"Bearer", b"Bearer a b", b"Bearer a,b", b"Bearer \xff\xfe",
     "Bearer schl\u00fcssel".encode(), b"Bearer sk-optk-\xe2\x80\x8b", b"Bearer\ttoken", b"\xff" * 50],
)  # fmt: skip
async def test_an_unreadable_credential_is_no_credential(port: int, value: bytes) -> None:
    """Other schemes, several tokens, bytes that are no text."""
    check_envelope(parse(await exchange(port, authorization(value))), Refusal.MISSING_AUTH)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=40))
async def test_any_bytes_in_authorization_get_an_answer(port: int, value: bytes) -> None:
    """Bytes that end the line or the request are malformed; all others are a bad credential."""
    value = value.replace(b"\r\n\r\n", b"")

    answer = parse(await exchange(port, authorization(value), pause=0))

    assert answer.status in {400, 401}
    assert answer.error["code"] in {"bad_request", "missing_auth", "invalid_key"}


async def test_two_authorization_headers_are_none(port: int, authority: RecordingAuthority) -> None:
    """Not even if each is a good key."""
    one, other = authority.issue(), authority.issue()

    raw = await exchange(
        port, head(f"Authorization: Bearer {one}", f"authorization: Bearer {other}")
    )

    check_envelope(parse(raw), Refusal.MISSING_AUTH)
    assert authority.asked == []


async def test_a_token_of_8_kilobytes_is_an_invalid_key(
    port: int, authority: RecordingAuthority
) -> None:
    """It fits the grammar and no secret: it costs no call."""
    for token in ("x" * 8192, "sk-optk-" + "x" * 8184):
        answer = parse(await exchange(port, head(f"Authorization: Bearer {token}")))
        check_envelope(answer, Refusal.INVALID_KEY)
    assert authority.asked == []


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), id="tls"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="http2"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="ssh"),
        pytest.param(b"GET /v1/x\r\n\r\n", id="http0.9"),
        pytest.param(b"GET /v1/x HTTP/1.1\r\n\r\n", id="no-host"),
        pytest.param(b"GET /v1/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two-hosts"),
        pytest.param(b"GET /v1/x HTTP/1.1\nHost: a\n\n", id="bare-lf"),
        pytest.param(b"GET /v1/x HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", id="obs-fold"),
        pytest.param(b"GET /v1/x HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", id="space-before-colon"),
        pytest.param(b"GET /v1/x HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n", id="nul"),
        pytest.param(b"GET /v1/\x01 HTTP/1.1\r\nHost: a\r\n\r\n", id="control-in-path"),
        pytest.param(b"GET /v1/\xff HTTP/1.1\r\nHost: a\r\n\r\n", id="non-ascii-path"),
        pytest.param(b"GET /v1/x#f HTTP/1.1\r\nHost: a\r\n\r\n", id="fragment"),
        pytest.param(b"GET /v1/x?a#f HTTP/1.1\r\nHost: a\r\n\r\n", id="fragment-of-query"),
        pytest.param(b"GET /v1/x?# HTTP/1.1\r\nHost: a\r\n\r\n", id="empty-fragment"),
        pytest.param(b"GET /authz?# HTTP/1.1\r\nHost: a\r\n\r\n", id="fragment-of-authz"),
        pytest.param(b"GET http://e/v1/x HTTP/1.1\r\nHost: a\r\n\r\n", id="absolute-form"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", id="asterisk-form"),
        pytest.param(b"CONNECT e:443 HTTP/1.1\r\nHost: e:443\r\n\r\n", id="connect"),
        pytest.param(b"TRACE /v1/x HTTP/1.1\r\nHost: a\r\n\r\n", id="trace"),
        pytest.param(b"GET /v1/../x HTTP/1.1\r\nHost: a\r\n\r\n", id="dots"),
        pytest.param(b"GET /v1/%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", id="encoded-dots"),
        pytest.param(b"GET /v1/x HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", id="expect"),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="length-and-chunked",
        ),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            id="two-lengths",
        ),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            id="gzip-chunked",
        ),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="chunked-twice",
        ),
        pytest.param(
            b"POST /v1/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="chunked-http1.0",
        ),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            id="unknown-coding",
        ),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5001 + b"\r\n\r\n",
            id="length-of-5001-digits",
        ),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", id="negative-length"
        ),
    ],
)
async def test_what_is_not_http_we_accept_is_a_bad_request(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, raw: bytes
) -> None:
    """An envelope and a closed connection; nobody else hears of it."""
    check_envelope(parse(await exchange(port, raw)), Refusal.BAD_REQUEST)
    assert authority.asked == []
    assert upstream.received == []


@pytest.mark.parametrize("size", [3, 100_000])
async def test_a_length_may_begin_with_thousands_of_zeros(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, size: int
) -> None:
    """It is a number all the same, and goes on as one that every parser reads alike."""
    secret = authority.issue().encode()
    length = b"0" * 5000 + str(size).encode()
    close = b"Connection: close\r\n"

    raw = await exchange(
        port, REQUEST % secret + close + b"Content-Length: " + length + b"\r\n\r\n", b"x" * size
    )

    assert parse(raw).status == 200
    (received,) = upstream.received
    assert received.body == b"x" * size
    assert received.header("content-length") == [str(size)]


@pytest.mark.parametrize("encodings", [0, 1, 2, 12])
@pytest.mark.parametrize(
    "place", ["/v1/{}", "/v1/a?key={}", "/v1/a?{}", "/authz/{}", "/other?a={}"]
)
async def test_a_key_in_a_target_is_refused(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, place: str, encodings: int
) -> None:
    """In path or query, however often encoded: it would stand in every log on the way."""
    secret = hidden = authority.issue()
    if encodings:
        hidden = hidden.replace("-", "%2D").replace("s", "%73")
        hidden = hidden.replace("%", "%" + "25" * (encodings - 1))

    raw = await exchange(port, head(f"Authorization: Bearer {secret}", target=place.format(hidden)))

    check_envelope(parse(raw), Refusal.BAD_REQUEST)
    assert upstream.received == []


@pytest.mark.parametrize("field", ["X-Original-URI", "X-Forwarded-Uri"])
async def test_a_key_in_a_target_that_a_proxy_tells_is_refused(
    port: int, authority: RecordingAuthority, field: str
) -> None:
    """The proxy would send it on."""
    secret = authority.issue()
    told = f"{field}: /v1/a?key={secret.replace('-', '%2d')}"

    raw = await exchange(port, head(f"Authorization: Bearer {secret}", told, target="/authz"))

    check_envelope(parse(raw), Refusal.BAD_REQUEST)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(["A: " + "x" * 40_000], id="one-field"),
        pytest.param([f"A{n}: " + "x" * 1000 for n in range(40)], id="in-total"),
        pytest.param([f"A{n}: x" for n in range(200)], id="count"),
    ],
)
async def test_large_heads_are_refused(port: int, fields: list[str]) -> None:
    """One large field, many fields, or too much together."""
    check_envelope(parse(await exchange(port, head(*fields))), Refusal.HEADERS_TOO_LARGE)


async def test_a_long_request_line_is_refused(port: int) -> None:
    """It is part of the head."""
    raw = await exchange(port, head(target="/v1/" + "x" * 40_000))

    check_envelope(parse(raw), Refusal.HEADERS_TOO_LARGE)


async def test_a_head_that_grows_for_ever_is_refused_before_it_ends(port: int) -> None:
    """The gateway keeps no more of it than the limit."""
    fields = [b"A%d: " % n + b"x" * 1000 + b"\r\n" for n in range(40)]

    raw = await exchange(port, b"GET /v1/x HTTP/1.1\r\nHost: a\r\n", *fields, pause=0.001)

    check_envelope(parse(raw), Refusal.HEADERS_TOO_LARGE)


async def test_a_client_still_sending_gets_its_refusal(port: int) -> None:
    """A megabyte of headers is read and dropped, so that no reset swallows the answer."""
    check_envelope(
        parse(await exchange(port, head("A: " + "x" * 1_000_000))), Refusal.HEADERS_TOO_LARGE
    )


async def test_a_slow_head_is_refused(start_gateway: StartGateway) -> None:
    """Counted from the first byte, on a new connection and on one that has been used."""
    port = await start_gateway(header_timeout=0.2)
    kept = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"

    first = await exchange(port, b"GET /v1/x HTTP/1.1\r\nHo")
    second = await exchange(port, kept, b"GET /v1/x HTTP/1.1\r\nHo")

    check_envelope(parse(first), Refusal.REQUEST_TIMEOUT)
    assert second.startswith(b"HTTP/1.1 200 OK")
    check_envelope(parse(b"HTTP/1.0 4" + second.split(b"HTTP/1.0 4")[1]), Refusal.REQUEST_TIMEOUT)


async def test_a_trickled_head_is_refused(start_gateway: StartGateway) -> None:
    """More bytes do not buy more time."""
    port = await start_gateway(header_timeout=0.2)

    async with asyncio.timeout(2):
        raw = await exchange(port, b"GET /v1/x HTTP/1.1\r\n", *[b"A: b\r\n"] * 20, pause=0.03)

    check_envelope(parse(raw), Refusal.REQUEST_TIMEOUT)


async def test_a_silent_connection_is_closed(start_gateway: StartGateway) -> None:
    """Who says nothing is told nothing."""
    port = await start_gateway(header_timeout=0.1)

    assert await exchange(port) == b""


async def test_an_idle_connection_is_closed(start_gateway: StartGateway) -> None:
    """After the keep-alive time, which is longer than the time for headers."""
    port = await start_gateway(header_timeout=0.1, keepalive_timeout=0.3)
    started = asyncio.get_running_loop().time()

    raw = await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")

    assert raw.count(b"HTTP/1.1") == 1
    assert asyncio.get_running_loop().time() - started > 0.2


async def test_the_connection_over_the_limit_is_turned_away(start_gateway: StartGateway) -> None:
    """With an answer; when one leaves, there is room again."""
    port = await start_gateway(max_connections=1)
    _, holder = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0.05)

    check_envelope(parse(await exchange(port)), Refusal.VERIFICATION_UNAVAILABLE)
    check_envelope(parse(await exchange(port, head())), Refusal.VERIFICATION_UNAVAILABLE)

    holder.close()
    await asyncio.sleep(0.05)
    assert parse(await exchange(port, head(target="/healthz"))).status == 200


@pytest.mark.parametrize("framing", ["Content-Length: 11", "Transfer-Encoding: chunked"])
async def test_a_large_body_is_refused(
    start_gateway: StartGateway, authority: RecordingAuthority, framing: str
) -> None:
    """Declared or streamed, at once or piece by piece."""
    port = await start_gateway(max_body_bytes=10)
    start = REQUEST % authority.issue().encode() + framing.encode() + b"\r\n\r\n"
    chunked = "chunked" in framing
    body = [b"6\r\nabcdef\r\n", b"6\r\nabcdef\r\n"] if chunked else [b"abcdef", b"abcde"]

    whole = await exchange(port, start + b"".join(body) + b"0\r\n\r\n" * chunked)
    pieces = await exchange(port, start, *body, b"0\r\n\r\n" * chunked)

    check_envelope(parse(whole), Refusal.REQUEST_TOO_LARGE)
    check_envelope(parse(pieces), Refusal.REQUEST_TOO_LARGE)


async def test_a_body_declared_too_large_goes_nowhere(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Neither is it waited for."""
    port = await start_gateway(max_body_bytes=10)

    raw = await exchange(port, REQUEST % authority.issue().encode() + b"Content-Length: 11\r\n\r\n")

    check_envelope(parse(raw), Refusal.REQUEST_TOO_LARGE)
    assert upstream.received == []


async def test_a_silent_body_is_refused(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """The upstream is left at once, the client told why."""
    port = await start_gateway(body_timeout=0.1)
    start = REQUEST % authority.issue().encode() + b"Content-Length: 10\r\n\r\nabc"

    check_envelope(parse(await exchange(port, start)), Refusal.REQUEST_TIMEOUT)


async def test_a_trickled_body_is_refused(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """A byte now and then keeps no connection."""
    port = await start_gateway(min_body_rate=1000, body_rate_grace=0.1)
    start = REQUEST % authority.issue().encode() + b"Content-Length: 100\r\n\r\n"

    raw = await exchange(port, start, *[b"x"] * 20, pause=0.02)

    check_envelope(parse(raw), Refusal.REQUEST_TIMEOUT)


async def test_a_malformed_chunk_is_a_bad_request(port: int, authority: RecordingAuthority) -> None:
    """Also when the upstream is already being sent the body."""
    start = REQUEST % authority.issue().encode() + b"Transfer-Encoding: chunked\r\n\r\n"

    raw = await exchange(port, start + b"3\r\nabc\r\n", b"zz\r\n")

    check_envelope(parse(raw), Refusal.BAD_REQUEST)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("pipelined", [True, False])
async def test_a_credential_in_a_trailer_is_no_other_requests(
    port: int,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    *,
    streamed: bool,
    pipelined: bool,
) -> None:
    """Behind a proxy, the next request on the connection may be anybody's: it is not answered."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"part")
        await asyncio.sleep(0.05 * streamed)
        await response.write(b"rest")
        return response

    upstream.respond = respond
    secret = authority.issue().encode()
    first = REQUEST % secret + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    pieces = [first + b"Authorization: Bearer %s\r\n\r\n" % secret]
    pieces.append(b"GET /v1/x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")

    raw = await exchange(port, *[b"".join(pieces)] if pipelined else pieces, pause=0.2)

    assert raw.count(b"HTTP/1.1 ") <= 1
    assert [received.method for received in upstream.received] == ["POST"]
    if pipelined:
        assert (parse(raw).status, parse(raw).header("connection")) == (200, ["close"])


async def test_a_body_is_invited_only_for_a_good_key(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """`100 Continue` comes after the verdict; a refused client may keep its body."""
    good, bad = authority.issue().encode(), b"sk-optk-bad"
    wait = b"Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"

    accepted = await exchange(port, REQUEST % good + wait, b"abc", pause=0.1)
    refused = await exchange(port, REQUEST % bad + wait, pause=0.1)

    interim, _, final = accepted.partition(b"\r\n\r\n")
    assert interim == b"HTTP/1.1 100 Continue"
    assert parse(final).status == 200
    assert [received.body for received in upstream.received] == [b"abc"]
    assert upstream.received[0].header("expect") == []
    check_envelope(parse(refused), Refusal.INVALID_KEY)


async def test_a_refused_client_that_held_its_body_back_is_disconnected(port: int) -> None:
    """Its next request would otherwise be read as the body it never sent."""
    start = REQUEST % b"sk-optk-bad" + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"

    answer = parse(await exchange(port, start))

    assert answer.header("connection") == ["close"]


async def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    """Garbage behind good requests does not spoil them."""
    kept = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"

    raw = await exchange(port, kept + kept, b"\x00garbage\r\n\r\n")

    assert raw.count(b" 200 OK") == 2
    assert raw.count(b" 400 ") == 1
