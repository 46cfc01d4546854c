from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio
import uvloop
from aiohttp import ClientSession

from keyauthority.edge.envelope import Refusal
from tests.edges.proxies import PROXIES, Edge, Proxy, patiently, program_of, started
from tests.edges.stage import Stage, staged


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    # The loop that the gateway and the authority run on.
    return {"uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Everything but the edge, once for all of them."""
    async with staged(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture(scope="module", params=PROXIES, ids=lambda proxy: proxy.name)
def proxy(request: pytest.FixtureRequest) -> Proxy:
    chosen: Proxy = request.param
    return chosen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(
    proxy: Proxy, stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Edge]:
    """Each proxy is started once, with its shipped file, and asks through `stage`."""
    ports = {
        "gateway": stage.gateway_relay.port,
        "api": int(stage.api.url.rpartition(":")[2]),
        "authority": stage.authority_relay.port,
    }
    program = program_of(proxy)
    if program is None:
        pytest.skip(f"needs {proxy.program}: {proxy.brought_by}")
    folder = tmp_path_factory.mktemp(proxy.name)
    with started(proxy, program, folder, stage.token, **ports) as edge:
        # Some listen before they have read their routes.
        async def answers() -> bool | None:
            answer = await edge.ask()
            return None if answer.status == Refusal.NOT_FOUND.status else True

        await patiently(answers)
        yield edge


@pytest_asyncio.fixture(loop_scope="module")
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture(autouse=True)
def _an_ordinary_api(stage: Stage) -> Iterator[None]:
    yield
    stage.api.respond = None
    stage.api.received.clear()
