"""Leases that a process of the authority granted and the next one knows nothing of."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from keyauthority.base.process import clocks
from keyauthority.base.process.clocks import SystemClock
from keyauthority.coherence.leases import wait_out
from keyauthority.config import Settings
from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.callers import operator
from keyauthority.domain.restoring import RESTORE, Restoring
from keyauthority.server import serving
from keyauthority.storage import maintenance
from keyauthority.storage.sqlite.opening import open_sqlite
from keyauthority.v1.key_service_pb2 import IssueKeyResponse, RevokeKeyRequest
from keyauthority.v1.verification_service_pb2 import SyncRequest
from keyauthority.v1.workspace_service_pb2 import CreateWorkspaceRequest
from tests.rpc.parts import (
    Api,
    LeaseClock,
    eventually,
    file_of,
    issue,
    set_lease,
    settings_in,
    verdict,
)
from tests.rpc.syncing import joined, spreads, started
from tests.storage.parts import as_after_a_crash

LEASE = timedelta(milliseconds=400)
MINUTE = timedelta(minutes=1)

Start = Callable[[], Awaitable[Api]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
async def running() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def start(settings: Settings, running: AsyncExitStack, lease_clock: LeaseClock) -> Start:
    """Starts the authority; `running.aclose` stops it."""

    async def started() -> Api:
        port = await running.enter_async_context(serving(settings, now=lease_clock))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        await running.enter_async_context(channel)
        return Api(channel, settings.root_token.read_text().strip())

    return started


@pytest.fixture
def crash(
    settings: Settings, running: AsyncExitStack, tmp_path: Path
) -> Callable[[], Awaitable[None]]:
    """Ends the authority; its files are as a power cut at that moment would have left them."""

    async def crashed() -> None:
        file = file_of(settings)
        copy = as_after_a_crash(file, tmp_path / "crashed")
        await running.aclose()
        for left in copy.parent.iterdir():
            shutil.copy(left, file.parent)

    return crashed


def is_marked(settings: Settings) -> bool:
    """Whether the file says that nobody holds a lease."""
    return flag(settings, "clean_stop")


def settling(settings: Settings) -> bool:
    """Whether the file says that leases from before a restore may be in force."""
    return flag(settings, "settling")


def flag(settings: Settings, name: str) -> bool:
    # Only a reader leaves the write-ahead log that a crash has left.
    uri = f"{file_of(settings).as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as file:
        [[value]] = file.execute(f"SELECT {name} FROM terms").fetchall()
    return bool(value)


async def a_key(root: Api) -> IssueKeyResponse:
    workspace = (await root(CreateWorkspaceRequest(name="acme"))).workspace.id
    return await issue(root, workspace)


async def revoke(root: Api, key_id: str) -> Any:
    return (await root(RevokeKeyRequest(key_id=key_id))).receipt


async def revoke_when_leases_are_over(root: Api, key_id: str, lease_clock: LeaseClock) -> None:
    """The change waits until every lease of a minute is over, and no longer."""
    change = started(revoke(root, key_id))
    await spreads(change)
    lease_clock.ahead += wait_out(MINUTE) - 2
    await spreads(change)
    lease_clock.ahead += 2
    async with asyncio.timeout(20):
        await change


class TestStops:
    async def test_a_clean_one_says_that_nobody_holds_a_lease(
        self, settings: Settings, start: Start, running: AsyncExitStack
    ) -> None:
        """From the first lease on the file doesn't say it, until the last one is over."""
        await set_lease(settings, MINUTE)
        assert is_marked(settings)
        await start()
        assert not is_marked(settings)
        await running.aclose()
        assert is_marked(settings)
        async with asyncio.timeout(20):
            root = await start()
            await revoke(root, (await a_key(root)).key.id)

    async def test_after_a_crash_the_first_change_waits(
        self,
        settings: Settings,
        start: Start,
        crash: Callable[[], Awaitable[None]],
        lease_clock: LeaseClock,
    ) -> None:
        """Until every lease of the process before is over, though its sessions died with it."""
        await set_lease(settings, MINUTE)
        root = await start()
        issued = await a_key(root)
        await joined(root)
        await crash()
        assert not is_marked(settings)
        root = await start()
        await revoke_when_leases_are_over(root, issued.key.id, lease_clock)
        assert await verdict(root, issued.secret) == "REVOKED"

    async def test_with_sessions_the_next_start_waits_too(
        self,
        settings: Settings,
        start: Start,
        running: AsyncExitStack,
        lease_clock: LeaseClock,
    ) -> None:
        """Verifiers that did not leave hold leases of the process that stopped."""
        await set_lease(settings, MINUTE)
        root = await start()
        issued = await a_key(root)
        await joined(root)
        await running.aclose()
        assert not is_marked(settings)
        root = await start()
        await revoke_when_leases_are_over(root, issued.key.id, lease_clock)

    async def test_soon_after_a_crash_say_nothing(
        self,
        settings: Settings,
        start: Start,
        running: AsyncExitStack,
        crash: Callable[[], Awaitable[None]],
    ) -> None:
        """It has no session, but has not waited for those of the process before the crash."""
        await set_lease(settings, MINUTE)
        await joined(await start())
        await crash()
        await start()
        await running.aclose()
        assert not is_marked(settings)

    async def test_long_enough_after_a_crash_say_it_again(
        self,
        settings: Settings,
        start: Start,
        running: AsyncExitStack,
        crash: Callable[[], Awaitable[None]],
        lease_clock: LeaseClock,
    ) -> None:
        """Once the leases from before are over."""
        await set_lease(settings, MINUTE)
        await start()
        await crash()
        await start()
        lease_clock.ahead += wait_out(MINUTE)
        await running.aclose()
        assert is_marked(settings)


class TestRestores:
    async def test_begin_a_new_epoch_after_every_lease_is_over(
        self, settings: Settings, start: Start, running: AsyncExitStack
    ) -> None:
        """Who knows of the old one is told to forget it."""
        await set_lease(settings, LEASE)
        root = await start()
        issued = await a_key(root)
        await revoke(root, issued.key.id)
        await running.aclose()
        begun = clocks.boottime()
        epoch, _, waited = await maintenance.restore_epoch(settings.database, [], timedelta())
        assert clocks.boottime() >= begun + wait_out(LEASE)
        assert epoch > 1
        assert waited == wait_out(LEASE)
        root = await start()
        grant = await root(SyncRequest(epoch=1, revision=1))
        assert (grant.epoch, grant.revision, grant.reset) == (epoch, 1, True)

    async def test_that_died_meanwhile_are_waited_for_by_changes(
        self,
        settings: Settings,
        start: Start,
        running: AsyncExitStack,
        lease_clock: LeaseClock,
    ) -> None:
        """The file says that leases may be out; whoever runs next waits, and says so no more."""
        await set_lease(settings, MINUTE)
        root = await start()
        issued = await a_key(root)
        await running.aclose()
        assert is_marked(settings)
        async with open_sqlite(file_of(settings), SystemClock()) as store:
            await Restoring(Books(store, Unfenced())).restore(operator(RESTORE), [])
        assert not is_marked(settings)
        root = await start()
        await revoke_when_leases_are_over(root, issued.key.id, lease_clock)

        async def is_settled() -> bool:
            return not settling(settings)

        await eventually(is_settled)

    async def test_are_respected_while_they_settle(
        self, settings: Settings, start: Start, lease_clock: LeaseClock
    ) -> None:
        """As another process would see it: changes wait though no session is known."""
        await set_lease(settings, MINUTE)
        root = await start()
        issued = await a_key(root)
        with closing(sqlite3.connect(file_of(settings))) as file:
            file.execute("UPDATE terms SET settling = 1")
            file.commit()
        await revoke_when_leases_are_over(root, issued.key.id, lease_clock)

    async def test_that_are_not_settled_leave_no_marker(
        self, settings: Settings, start: Start, running: AsyncExitStack
    ) -> None:
        """A stop in between tells the next start nothing that it could rely on."""
        await set_lease(settings, MINUTE)
        await start()
        await running.aclose()
        async with open_sqlite(file_of(settings), SystemClock()) as store:
            await Restoring(Books(store, Unfenced())).restore(operator(RESTORE), [])
        await start()
        assert settling(settings)
        await running.aclose()
        assert not is_marked(settings)
