from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import ClientSession

from gateway.app import running
from gateway.config import Timeouts
from gateway.connection import KEPT_IDLE, Connections
from gateway.observe import Metrics
from gateway.upstream import Upstream
from tests.gateway.parts import (
    TOKEN,
    FakeUpstream,
    RecordingAuthority,
    serving,
    settings_of,
    upstream_serving,
)
from tests.gateway.peers import Connect
from tests.ports import free_port

StartGateway = Callable[..., Awaitable[int]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    # The loop that the gateway runs on.
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def authority() -> AsyncIterator[RecordingAuthority]:
    async with serving(RecordingAuthority()) as authority:
        yield authority


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with upstream_serving() as upstream:
        yield upstream


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
async def start_gateway(
    authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path
) -> AsyncIterator[StartGateway]:
    """Starts gateways between the authority and the upstream; settings as keyword arguments."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> int:
            # Without a cache each request is seen to ask; tests of the cache switch it on.
            usual: dict[str, Any] = {
                "authority": authority.address,
                "token_file": token_file,
                "upstream": upstream.url,
                "grace": 0.2,
                "access_log": False,
                "cache": False,
                # Tests of scopes say which rules there are.
                "scope_rules": None,
            }
            settings = settings_of(**usual | options)
            return await stack.enter_async_context(running(settings))

        yield start


@pytest.fixture
async def port(start_gateway: StartGateway) -> int:
    """The port of a gateway with default settings."""
    return await start_gateway()


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on, and neither does anybody on the next."""
    return free_port(2)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def connect(metrics: Metrics) -> AsyncIterator[Connect]:
    """What sends to an upstream, by its URL; whose certificates it may have as `trust`."""
    async with AsyncExitStack() as stack:

        def connect(
            base: str,
            *,
            trust: ssl.SSLContext | bool = True,
            kept_idle: float = KEPT_IDLE,
            **timeouts: float,
        ) -> Upstream:
            connections = Connections(metrics.count_unsolicited, kept_idle)
            connected = Upstream(base, Timeouts(**timeouts), connections, trust)
            stack.push_async_callback(connected.close)
            return connected

        yield connect
