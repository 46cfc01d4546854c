"""The authority killed, stopped and deserted by its callers: what it said it did, it did."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.server import GRACE
from tests.e2e.authority import AuthorityProcess, authority_process
from tests.e2e.new_books import set_lease
from tests.e2e.writers import Writers
from tests.postgres import new_database

LONG = bool(os.environ.get("TEST_LONG"))
KILLS = 200 if LONG else 10
STOPS = 50 if LONG else 5
WRITERS = 8
SHORT_LEASE = 1.0
"""Every change waits for the lease of the process that was killed before, once."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@asynccontextmanager
async def under_load(process: AuthorityProcess, writers: Writers) -> AsyncIterator[None]:
    """Writers at work at the beginning; at the end the authority must be gone."""
    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(writers.write())
        yield


def integrity(data: Path, copy: Path) -> str:
    """What SQLite says of the files as they lie there, which stay as they are."""
    copy.mkdir()
    for file in data.glob("authority.db*"):
        shutil.copy(file, copy)
    with closing(sqlite3.connect(copy / "authority.db")) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    shutil.rmtree(copy)
    return str(verdict)


def no_secret_and_no_fault(process: AuthorityProcess) -> None:
    log = process.log.read_text()
    assert "sk-optk-" not in log
    assert "optk-svc-" not in log
    assert "internal_error" not in log
    assert "Traceback" not in log


@pytest.mark.long
@pytest.mark.timeout(7200 if LONG else 120)
async def test_killed_under_writers(data: Path) -> None:
    """However often it is killed, what it acknowledged holds, and what it did not is either."""
    data.mkdir(mode=0o700)
    await set_lease(data / "authority.db", SHORT_LEASE)
    writers, chance = Writers(seed=1), random.Random(1)
    for _ in range(KILLS):
        async with authority_process(data) as process:
            await writers.connect(process)
            await writers.check()
            async with under_load(process, writers):
                await writers.acknowledgements(chance.randint(10, 200))
                await asyncio.sleep(chance.uniform(0, 0.01))
                process.kill()
            await process.ended(within=10)
        assert integrity(data, data.parent / "copy") == "ok"
        no_secret_and_no_fault(process)
    async with authority_process(data) as process:
        await writers.connect(process)
        await writers.check()


@pytest.mark.long
@pytest.mark.timeout(7200 if LONG else 240)
async def test_killed_under_writers_with_postgresql(data: Path) -> None:
    """The same with the books elsewhere: what was under way there is made or not, as with a file."""
    url = await new_database()
    await set_lease(url, SHORT_LEASE)
    writers, chance = Writers(seed=3), random.Random(3)
    for _ in range(KILLS):
        async with authority_process(data, url.reveal()) as process:
            await writers.connect(process)
            await writers.check()
            async with under_load(process, writers):
                await writers.acknowledgements(chance.randint(10, 100))
                await asyncio.sleep(chance.uniform(0, 0.01))
                process.kill()
            await process.ended(within=10)
        no_secret_and_no_fault(process)
    async with authority_process(data, url.reveal()) as process:
        await writers.connect(process)
        await writers.check()


@pytest.mark.long
@pytest.mark.timeout(7200 if LONG else 120)
async def test_stopped_under_writers(data: Path) -> None:
    """Told to stop, it says so, ends what it began, leaves within its grace, and all of it holds."""
    writers, chance = Writers(seed=2), random.Random(2)
    for _ in range(STOPS):
        async with authority_process(data) as process:
            await writers.connect(process)
            await writers.check()
            health: Any = HealthStub(process.channel)
            watch = health.Watch(HealthCheckRequest())
            assert (await anext(aiter(watch))).status == HealthCheckResponse.SERVING
            async with under_load(process, writers):
                await writers.acknowledgements(chance.randint(10, 200))
                process.terminate()
                begun = time.monotonic()
                assert (await anext(aiter(watch))).status == HealthCheckResponse.NOT_SERVING
                watch.cancel()
            assert await process.ended(within=GRACE + 5) == 0
            assert time.monotonic() < begun + GRACE + 5
        assert integrity(data, data.parent / "copy") == "ok"
        assert not (data / "authority.db-wal").exists()
        no_secret_and_no_fault(process)
    async with authority_process(data) as process:
        await writers.connect(process)
        await writers.check()
