from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import uvloop
from prometheus_client import CollectorRegistry

from keyauthority.rpc.service import Service
from keyauthority.rpc.services import SERVICES
from keyauthority.server import OpenBooks, Pace, serving
from keyauthority.storage.bootstrap import books_and_keyring
from tests.conformance.records import ManualClock
from tests.rpc.books import GatedBooks
from tests.rpc.parts import Api, Authority, LeaseClock, file_of, set_lease, settings_in
from tests.sqlite import new_books


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    # The loop that the authority runs on.
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def clock() -> ManualClock:
    """The authority's clock: it stands until a test puts it forward."""
    return ManualClock()


@pytest.fixture
async def running() -> AsyncIterator[AsyncExitStack]:
    """What the test has running; closing it stops the authority before the test's end."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def lease() -> timedelta | None:
    """How long leases last, if not as in any installation."""
    return None


@pytest.fixture
def services() -> Sequence[Service]:
    """What the authority serves, if not the same as any installation."""
    return SERVICES


@pytest.fixture
def settings_fields() -> dict[str, Any]:
    """The authority's settings that are not those of any installation."""
    return {}


@pytest.fixture
def pace() -> Pace:
    """How often the authority does what nobody asks it for."""
    return Pace()


@pytest.fixture
def lease_clock() -> LeaseClock:
    """What leases are measured by."""
    return LeaseClock()


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where the authority counts."""
    return CollectorRegistry()


@pytest.fixture
def books() -> GatedBooks:
    """The authority's books, of a test that asks for them."""
    return GatedBooks()


@pytest.fixture
def open_books(request: pytest.FixtureRequest) -> OpenBooks:
    """How the authority opens its books: behind gates if the test asks for `books`."""
    if "books" not in request.fixturenames:
        return books_and_keyring
    books: GatedBooks = request.getfixturevalue("books")
    return books.open


@pytest.fixture
async def authority(
    tmp_path: Path,
    clock: ManualClock,
    running: AsyncExitStack,
    lease: timedelta | None,
    services: Sequence[Service],
    settings_fields: dict[str, Any],
    pace: Pace,
    lease_clock: LeaseClock,
    registry: CollectorRegistry,
    open_books: OpenBooks,
) -> AsyncIterator[Authority]:
    """A fresh installation, reached in plaintext on loopback."""
    settings = settings_in(tmp_path, **settings_fields)
    new_books(file_of(settings))
    if lease is not None:
        await set_lease(settings, lease)
    served = serving(
        settings,
        clock,
        services=services,
        now=lease_clock,
        pace=pace,
        registry=registry,
        open_books=open_books,
    )
    port = await running.enter_async_context(served)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        root = Api(channel, settings.root_token.read_text().strip())
        yield Authority(settings, port, root)


@pytest.fixture
async def root(authority: Authority) -> Api:
    """The caller of the first start, who has every role."""
    return authority.root


@pytest.fixture
async def workspace(authority: Authority) -> str:
    """A workspace's id."""
    return await authority.workspace()


@pytest.fixture
def anybody(authority: Authority) -> Api:
    """A caller without a credential."""
    return Api(authority.root.channel)
