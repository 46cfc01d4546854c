from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
import uvloop
from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry

from gateway.app import running
from keyauthority.domain.callers import Role
from keyauthority.server import serving
from tests.billing.parts import CHAT, MODEL, TOKENS, Account, Books, Client, Upstream
from tests.gateway.parts import settings_of
from tests.ports import free_port
from tests.rpc.parts import Api, Authority, file_of, settings_in
from tests.sqlite import new_books

StartGateway = Callable[..., Awaitable[str]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    # The loop that both programs run on.
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def running_parts() -> AsyncIterator[AsyncExitStack]:
    """What the test has running, ended in reverse."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def authority(tmp_path: Path, running_parts: AsyncExitStack) -> AsyncIterator[Authority]:
    """A fresh installation on SQLite."""
    folder = tmp_path / "authority"
    folder.mkdir(mode=0o700)
    settings = settings_in(folder)
    new_books(file_of(settings))
    port = await running_parts.enter_async_context(serving(settings, registry=CollectorRegistry()))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Authority(settings, port, Api(channel, settings.root_token.read_text().strip()))


@pytest.fixture
async def books(authority: Authority) -> Books:
    """Its books, in which chat completions of one model have a price."""
    books = Books(authority.root)
    await books.price(MODEL, CHAT, TOKENS)
    return books


@pytest.fixture
async def account(books: Books) -> Account:
    """A workspace with ten credits and a key."""
    return await books.account()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    server = web.Server(upstream.handle, handler_cancellation=True)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield upstream
    listener.close()
    await server.shutdown(0.1)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The folder of all spools."""
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
async def start_unpriced(
    authority: Authority,
    upstream: Upstream,
    spool: Path,
    tmp_path: Path,
    running_parts: AsyncExitStack,
) -> StartGateway:
    """Starts gateways that bill before there are prices; settings as keyword arguments.

    Returns the URL.
    """
    token_file = tmp_path / "gateway.token"
    token_file.write_text((await authority.caller(Role.VERIFIER)).token + "\n")
    token_file.chmod(0o600)

    async def start(stack: AsyncExitStack = running_parts, **options: Any) -> str:
        usual: dict[str, Any] = {
            "authority": f"127.0.0.1:{authority.port}",
            "token_file": token_file,
            "upstream": upstream.url,
            "spool": spool,
            "grace": 0.5,
            "access_log": False,
            "billing": "enforce",
        }
        settings = settings_of(**usual | options)
        return f"http://127.0.0.1:{await stack.enter_async_context(running(settings))}"

    return start


@pytest.fixture
def start_gateway(start_unpriced: StartGateway, books: Books) -> StartGateway:
    """The same, once there are prices."""
    return start_unpriced


@pytest.fixture
async def url(start_gateway: StartGateway) -> str:
    """A gateway that bills, with default settings."""
    return await start_gateway()


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
def client(http: ClientSession, url: str, account: Account) -> Client:
    """Whoever has the key of `account`."""
    return Client(http, url, account)


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    return free_port()
