"""Strangers at the authority: what they send before they are known costs next to nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.domain.callers import Role
from keyauthority.domain.secrets import TOKEN_PREFIX, mint, new_id
from keyauthority.v1.caller_service_pb2 import CreateCallerRequest
from keyauthority.v1.caller_service_pb2_grpc import CallerServiceStub
from keyauthority.v1.verification_service_pb2 import VerifyRequest
from tests import frames
from tests.e2e.authority import AuthorityProcess
from tests.frames import Peer
from tests.rpc.parts import bearer

VERIFY = "/keyauthority.v1.VerificationService/Verify"
BATCH_VERIFY = "/keyauthority.v1.VerificationService/BatchVerify"
WATCH = "/grpc.health.v1.Health/Watch"
CHECK = "/grpc.health.v1.Health/Check"

MIB = 1 << 20
MESSAGE = 9_000_000
"""About as long as a message may be."""


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[AuthorityProcess]:
    process = AuthorityProcess(tmp_path / "data")
    await process.start()
    yield process
    process.terminate()
    await process.ended(within=20)


def memory(authority: AuthorityProcess) -> int:
    # The second number is of pages that are resident (proc(5)).
    pages = Path(f"/proc/{authority.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def send_all_but_the_end(peer: Peer, streams: range) -> int:
    """Sends on all *streams* in turn until the server allows no more, and says how much it took."""
    body = memoryview(frames.message(MESSAGE))
    sent = dict.fromkeys(streams, 0)
    stood = 0
    while stood < 20:  # a second
        some = 0
        for stream in streams:
            size = peer.send(stream, body[sent[stream] :])
            sent[stream] += size
            some += size
        stood = 0 if some else stood + 1
        await asyncio.sleep(0 if some else 0.05)
    return sum(sent.values())


@pytest.mark.parametrize("path", [VERIFY, BATCH_VERIFY, "/no.such.Service/Method"])
async def test_unfinished_messages_take_no_memory(authority: AuthorityProcess, path: str) -> None:
    """Sixty of nine megabytes on one connection, without a token and with one of nobody's."""
    before = memory(authority)
    async with Peer(authority.port) as peer:
        await peer.opened()
        streams = range(1, 121, 2)
        for stream in streams:
            token = () if stream % 4 == 1 else (("authorization", "Bearer noise"),)
            peer.call(stream, path, *token)
        await send_all_but_the_end(peer, streams)
        assert memory(authority) - before < 20 * MIB


@pytest.mark.parametrize("path", [WATCH, CHECK])
async def test_health_is_told_while_strangers_fill_its_room(
    authority: AuthorityProcess, path: str
) -> None:
    """It is open to everybody: a few of their messages are read at once, and for a second each."""
    before = memory(authority)
    health: Any = HealthStub(authority.channel)
    async with Peer(authority.port) as peer:
        await peer.opened()
        streams = range(1, 121, 2)
        for stream in streams:
            peer.call(stream, path)
        sending = asyncio.create_task(send_all_but_the_end(peer, streams))
        while not sending.done():
            assert (await health.Check(HealthCheckRequest(), timeout=2)).status
            assert memory(authority) - before < 80 * MIB
            await asyncio.sleep(0.02)
        await sending


async def test_a_burst_of_calls_is_answered_by_us(authority: AuthorityProcess) -> None:
    """Each of eight thousand at once is told why it is refused: gRPC turns none away at random."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    port = authority.port
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(8)]

    async def code(channel: grpc.aio.Channel) -> grpc.StatusCode:
        verify: Any = channel.unary_unary(VERIFY)
        status: grpc.StatusCode = await verify(b"", timeout=60).code()
        return status

    codes = await asyncio.gather(*(code(channel) for channel in channels for _ in range(1_000)))
    refusals = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert set(codes) == refusals
    for channel in channels:
        await channel.close()


async def test_strangers_tokens_starve_nobody(authority: AuthorityProcess) -> None:
    """Nine hundred of nobody's under way at any time: known callers are served, and new ones too.

    Strangers are told that they are refused so slowly that most of the process's time is left.
    """
    alone = [("grpc.use_local_subchannel_pool", 1)]
    address = f"127.0.0.1:{authority.port}"
    over = asyncio.Event()
    refused = 0

    async def stranger(channel: grpc.aio.Channel) -> None:
        nonlocal refused
        verify: Any = channel.unary_unary(VERIFY)
        while not over.is_set():
            token = mint(new_id("caller"), TOKEN_PREFIX).reveal()
            await verify(b"", metadata=bearer(token), timeout=60).code()
            refused += 1

    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=alone))
            for _ in range(4)
        ]
        callers = CallerServiceStub(channels[3])

        async def creates(name: str) -> str:
            roles: Any = [Role.VERIFIER.value]
            request = CreateCallerRequest(name=name, roles=roles)
            created = await callers.CreateCaller(request, metadata=authority.token, timeout=5)
            return str(created.token)

        await creates("before")
        strangers = [
            asyncio.create_task(stranger(channel)) for channel in channels[:3] for _ in range(300)
        ]
        for number in range(20):
            token = await creates(f"caller {number}")
            verify: Any = channels[3].unary_unary(VERIFY)
            call = verify(
                VerifyRequest(secret="x").SerializeToString(), metadata=bearer(token), timeout=5
            )
            assert await call.code() is grpc.StatusCode.OK
        before, began = refused, time.monotonic()
        await asyncio.sleep(3)
        assert refused - before <= 400 * (time.monotonic() - began) + 100
        over.set()
        await asyncio.gather(*strangers)


async def test_pings_are_allowed_every_second_and_not_in_floods(
    authority: AuthorityProcess,
) -> None:
    """A flood ends its connection; pings at an honest client's pace go on."""
    async with Peer(authority.port) as flooding, Peer(authority.port) as honest:
        flooding.write(frames.frame(frames.PING, 0, 0, bytes(8)) * 100)
        await asyncio.wait_for(flooding.closed.wait(), 10)
        for _ in range(14):
            honest.write(frames.frame(frames.PING, 0, 0, bytes(8)))
            await asyncio.sleep(0.6)
        assert not honest.closed.is_set()


async def test_who_does_not_speak_is_disconnected(authority: AuthorityProcess) -> None:
    """Within seconds, whether it says nothing at all, or stops after its first words."""
    port = authority.port

    async def closed(first: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        # To its end: the server has closed it.
        await asyncio.wait_for(reader.read(), 25)
        writer.close()

    words = frames.PREFACE + frames.frame(frames.SETTINGS)
    await asyncio.gather(
        closed(b""), closed(b"PRI * HT"), closed(words), closed(words + b"\0\0\5\1\0\0\0\0\1")
    )
