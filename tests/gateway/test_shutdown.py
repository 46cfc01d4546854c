"""The gateway stops in order: not ready, no new connections, the old ones ended, then gone."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError, ClientSession, web

from gateway.app import running
from gateway.config import Settings
from tests.gateway.parts import FakeUpstream, RecordingAuthority, exchange, head, parse, settings_of
from tests.gateway.test_streaming import EVENT, SSE, Stream, bearer


def settings(
    authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path, **timeouts: float
) -> Settings:
    return settings_of(
        authority=authority.address,
        token_file=token_file,
        upstream=upstream.url,
        access_log=False,
        **timeouts,
    )


async def test_requests_under_way_finish(
    http: ClientSession, authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path
) -> None:
    """A stream goes on to its end; meanwhile nobody new is let in, and idle clients leave."""
    stream = Stream(SSE, EVENT)
    stream.then = lambda response: response.write(b"data: [DONE]\n\n")
    upstream.respond = stream.respond
    gateway = running(settings(authority, upstream, token_file, grace=10))
    port = await gateway.__aenter__()
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
    idle_writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    await idle_reader.readuntil(b"}")
    url = f"http://127.0.0.1:{port}/v1/chat"
    async with http.get(url, headers=bearer(authority)) as response:
        assert await response.content.readany() == EVENT

        stopping = asyncio.create_task(gateway.__aexit__(None, None, None))

        assert await asyncio.wait_for(idle_reader.read(), 2) == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert not stopping.done()
        stream.go_on.set()
        assert await response.read() == b"data: [DONE]\n\n"
    await asyncio.wait_for(stopping, 2)
    idle_writer.close()


async def test_an_upload_under_way_finishes(
    authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path
) -> None:
    """What is being sent is still read; the answer says that the connection ends."""
    gateway = running(settings(authority, upstream, token_file, grace=10))
    port = await gateway.__aenter__()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    secret = authority.issue()
    writer.write(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n")
    writer.write(f"Authorization: Bearer {secret}\r\n\r\nhalf".encode())
    await asyncio.wait_for(upstream.reached.wait(), 2)

    stopping = asyncio.create_task(gateway.__aexit__(None, None, None))
    await asyncio.sleep(0.1)
    writer.write(b"half")

    answer = parse(await asyncio.wait_for(reader.read(), 2))
    assert answer.status == 200
    assert answer.header("connection") == ["close"]
    assert upstream.received[0].body == b"halfhalf"
    await asyncio.wait_for(stopping, 2)
    writer.close()


async def test_after_the_grace_streams_end_with_an_error_event(
    http: ClientSession, authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path
) -> None:
    """Nothing is cut off as if it were whole, and nothing holds the gateway up for ever."""
    upstream.respond = Stream(SSE, EVENT).respond
    async with running(settings(authority, upstream, token_file, grace=0.1)) as port:
        url = f"http://127.0.0.1:{port}/v1/chat"
        response = await http.get(url, headers=bearer(authority))
        assert await response.content.readany() == EVENT

    async with asyncio.timeout(2):
        rest = await response.read()
    assert rest.startswith(b"event: error\n")
    await asyncio.wait_for(upstream.gone.wait(), 2)


async def test_after_the_grace_other_responses_are_aborted(
    http: ClientSession, authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path
) -> None:
    """A half response stays a half response."""
    upstream.respond = Stream({"Content-Type": "text/plain"}, b"half").respond
    async with running(settings(authority, upstream, token_file, grace=0.1)) as port:
        url = f"http://127.0.0.1:{port}/v1/chat"
        response = await http.get(url, headers=bearer(authority))
        assert await response.content.readany() == b"half"

    with pytest.raises(ClientPayloadError):
        await response.read()


@pytest.mark.parametrize("invited", [True, False])
async def test_after_the_grace_waiting_requests_are_told(
    authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path, *, invited: bool
) -> None:
    """The upstream had not answered yet: in this gateway's time it did not."""
    fields = ["Expect: 100-continue", "Content-Length: 3"] if invited else []

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    upstream.respond = hang
    async with running(settings(authority, upstream, token_file, grace=0.1)) as port:
        request = head(f"Authorization: Bearer {authority.issue()}", *fields)
        asking = asyncio.create_task(exchange(port, request))
        await asyncio.wait_for(upstream.reached.wait(), 2)

    raw = await asking
    answer = parse(raw.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"))
    assert raw.startswith(b"HTTP/1.1 100") == invited
    assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")


async def test_readiness_ends_before_connections_do(
    authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path
) -> None:
    """So that a load balancer can leave before anybody is refused."""
    gateway = running(settings(authority, upstream, token_file, drain_delay=0.3))
    port = await gateway.__aenter__()

    stopping = asyncio.create_task(gateway.__aexit__(None, None, None))
    await asyncio.sleep(0.1)

    assert parse(await exchange(port, head(target="/readyz"))).status == 503
    request = head(f"Authorization: Bearer {authority.issue()}")
    assert parse(await exchange(port, request)).status == 200
    await asyncio.wait_for(stopping, 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_with_0(
    authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path, number: signal.Signals
) -> None:
    """The real command: started, told to stop, gone, with nothing but log lines on the way."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "--listen", "127.0.0.1:0"),
        *("--authority", authority.address, "--token-file", str(token_file)),
        *("--upstream", upstream.url),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    assert b'"serving"' in await asyncio.wait_for(process.stderr.readline(), 20)

    process.send_signal(number)

    _, errors = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0
    assert [b'"stopp' in line for line in errors.splitlines()] == [True, True]
