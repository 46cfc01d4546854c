"""How many connections a process takes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import grpc.aio
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.server import serving
from tests.frames import Peer
from tests.rpc.parts import eventually, settings_in

AFFORDABLE = """
import resource, sys
from keyauthority.rpc.listening import affordable
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (300, int(sys.argv[1])))
print(affordable(500), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


async def test_no_more_connections_than_set(tmp_path: Path) -> None:
    """One too many is closed, those there go on, and one that leaves makes room."""
    settings = settings_in(tmp_path, max_connections=3)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(settings))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        health: Any = HealthStub(channel)
        assert await health.Check(HealthCheckRequest())
        second = await stack.enter_async_context(Peer(port))
        await second.opened()
        async with Peer(port) as third:
            await third.opened()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            await writer.wait_closed()
            assert await health.Check(HealthCheckRequest())
        # It may come before the authority has noticed that another has left.
        await eventually(lambda: is_admitted(port))


async def is_admitted(port: int) -> bool:
    async with Peer(port) as peer:
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await peer.opened()
                return True
    return False


def affordable(hard: int) -> list[int]:
    command = [sys.executable, "-c", AFFORDABLE, str(hard)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(number) for number in said.stdout.split()]


def test_connections_leave_files_for_the_books() -> None:
    """The limit on open files is raised as far as it may be; if that is too little, fewer connect."""
    assert affordable(hard=1_000) == [500, 756, 1_000]
    assert affordable(hard=600) == [344, 600, 600]
