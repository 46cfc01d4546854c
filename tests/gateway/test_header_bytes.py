"""Header fields byte for byte in both directions, and how many and large an upstream's may be."""

from __future__ import annotations

import asyncio

import pytest

from keyauthority.edge.envelope import Refusal
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import RecordingAuthority, exchange, head, parse
from tests.gateway.peers import Peer, serving
from tests.gateway.test_table import check_envelope

ODD = [
    pytest.param(b'attachment; filename="r\xe9sum\xe9"', id="latin-1"),
    pytest.param("attachment; filename=\u201cr\u00e9sum\u00e9\u201d".encode(), id="utf-8"),
    pytest.param(bytes(range(0x80, 0x100)) + b"\ttab", id="all"),
    pytest.param(b"\xc3\xa9 and \xe9, \xf0\x9f\x98\x80 and \xf0", id="mixed"),
]


WHOLE = b"Content-Length: 5\r\n\r\nwhole"


async def answer(
    start_gateway: StartGateway, authority: RecordingAuthority, fields: bytes, **options: int
) -> bytes:
    """What a client gets of an upstream's whole answer with *fields*."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(b"HTTP/1.1 200 OK\r\n" + fields + WHOLE)

    async with serving(script) as upstream:
        port = await start_gateway(upstream=f"http://127.0.0.1:{upstream.port}", **options)
        return await exchange(port, head(f"Authorization: Bearer {authority.issue()}"))


@pytest.mark.parametrize("value", ODD)
async def test_a_request_field_goes_on_byte_for_byte(
    start_gateway: StartGateway, authority: RecordingAuthority, value: bytes
) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
        peer.writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with serving(script) as upstream:
        port = await start_gateway(upstream=f"http://127.0.0.1:{upstream.port}")
        bearer = head(f"Authorization: Bearer {authority.issue()}").removesuffix(b"\r\n")
        raw = await exchange(port, bearer + b"Content-Disposition: " + value + b"\r\n\r\n")

    assert parse(raw).status == 204
    assert b"\r\nContent-Disposition: " + value + b"\r\n" in heads[0]


@pytest.mark.parametrize("value", ODD)
async def test_a_whole_responses_field_goes_on_byte_for_byte(
    start_gateway: StartGateway, authority: RecordingAuthority, value: bytes
) -> None:
    """The rest of the head is as it always is."""
    field = b"Content-Disposition: " + value + b"\r\n"

    raw = await answer(start_gateway, authority, field)

    assert b"\r\n" + field in raw
    check_rest(raw, b"1.1")
    assert parse(raw).body == b"whole"


def check_rest(raw: bytes, version: bytes) -> None:
    """The head has all that the gateway says of itself, once, and the upstream's other fields."""
    answered = parse(raw)
    assert raw.startswith(b"HTTP/" + version + b" 200 OK\r\n")
    assert len(answered.header("x-request-id")) == len(answered.header("date")) == 1
    assert answered.header("server") == []


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_streams_field_goes_on_byte_for_byte(
    start_gateway: StartGateway, authority: RecordingAuthority, value: bytes, version: bytes
) -> None:
    """So is that of an answer which begins before all of it is here."""
    field, taken = b"Content-Disposition: " + value + b"\r\n", asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + field
        peer.writer.write(head + b"\r\n5\r\nfirst\r\n")
        await taken.wait()
        peer.writer.write(b"4\r\nlast\r\n0\r\n\r\n")

    async with serving(script) as upstream, asyncio.timeout(10):
        port = await start_gateway(upstream=f"http://127.0.0.1:{upstream.port}")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        asking = head(f"Authorization: Bearer {authority.issue()}")
        writer.write(asking.replace(b"HTTP/1.1", b"HTTP/" + version))
        raw = await reader.readuntil(b"first")
        taken.set()
        raw += await reader.read()
        writer.close()

    assert b"\r\n" + field in raw
    check_rest(raw, version)
    framed = b"5\r\nfirst\r\n4\r\nlast\r\n0\r\n\r\n" if version == b"1.1" else b"firstlast"
    assert parse(raw).body == framed


@pytest.mark.parametrize("name", [b"X-Any", b"Set-Cookie"])
@pytest.mark.parametrize("value", [b"a\x01b", b"a\x7fb", b"a\xe9\x1fb"])
async def test_a_control_character_is_no_field_of_a_response(
    start_gateway: StartGateway, authority: RecordingAuthority, name: bytes, value: bytes
) -> None:
    """Where the field does not go on to the client, it does no harm."""
    raw = await answer(start_gateway, authority, name + b": " + value + b"\r\n")

    if name == b"Set-Cookie":
        assert (parse(raw).status, parse(raw).body) == (200, b"whole")
    else:
        check_envelope(parse(raw), Refusal.UPSTREAM_UNAVAILABLE)


LARGE = b"x" * 40_000
MANY = b"".join(b"X-Many-%d: x\r\n" % number for number in range(900))


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        pytest.param(b"X-Large: " + LARGE + b"\r\n", {"x-large"}, id="large"),
        pytest.param(b"Set-Cookie: " + LARGE * 20 + b"\r\n", set(), id="dropped"),
        pytest.param((b"Set-Cookie: " + LARGE + b"\r\n") * 20, set(), id="many-dropped"),
        pytest.param(MANY, {f"x-many-{number}" for number in range(900)}, id="many"),
    ],
)
async def test_an_upstream_may_say_more_than_a_client(
    start_gateway: StartGateway, authority: RecordingAuthority, fields: bytes, names: set[str]
) -> None:
    """Its model has run by then. What does not go on costs nobody the answer."""
    answered = parse(await answer(start_gateway, authority, fields))

    assert (answered.status, answered.body) == (200, b"whole")
    got = {name for name, _ in answered.headers if name.startswith(("x-large", "x-many", "set-"))}
    assert got == names


@pytest.mark.parametrize(
    "fields",
    [
        b"A: " + b"x" * 1_100_000 + b"\r\n",
        (b"Set-Cookie: " + LARGE + b"\r\n") * 40,
        b"A: b\r\n" * 1001,
    ],
    ids=["field", "size", "count"],
)
async def test_an_upstreams_head_has_bounds(
    start_gateway: StartGateway, authority: RecordingAuthority, fields: bytes
) -> None:
    """1 MiB and 1,000 fields."""
    raw = await answer(start_gateway, authority, fields)

    check_envelope(parse(raw), Refusal.UPSTREAM_UNAVAILABLE)


async def test_an_upstream_may_say_as_much_as_a_client_in_any_case(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """Whatever the settings grant clients, its bounds grow with theirs."""
    fields = b"A: " + b"x" * 1_200_000 + b"\r\n" + b"B: b\r\n" * 1_200
    larger = {"max_header_bytes": 2_000_000, "max_headers": 2_000}

    raw = await answer(start_gateway, authority, fields, **larger)

    assert parse(raw).status == 200


async def test_interim_responses_have_no_more_room(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """However many there are, they end at the same bound."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: " + LARGE + b"\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.request()
        while True:
            peer.writer.write(interim)
            await peer.writer.drain()

    async with serving(script) as upstream:
        port = await start_gateway(upstream=f"http://127.0.0.1:{upstream.port}")
        raw = await exchange(port, head(f"Authorization: Bearer {authority.issue()}"))

    check_envelope(parse(raw), Refusal.UPSTREAM_UNAVAILABLE)
