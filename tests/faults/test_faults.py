"""Real processes on a network that fails: what is promised holds, and bugs do not go unnoticed."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from keyauthority.coherence.leases import wait_out
from tests.faults import schedules
from tests.faults.checking import Violation, Work, violations, work
from tests.faults.faults import ANYWHERE, WITH_DATABASE, Fault, drawn, go_wrong
from tests.faults.history import History
from tests.faults.installation import (
    Installation,
    failing_over_installation,
    postgres_installation,
    sqlite_installation,
)
from tests.faults.network import missing

LONG = bool(os.environ.get("TEST_LONG"))
FAULTS = 200 if LONG else 10
SEED = int(os.environ.get("TEST_SEED", "1"))

LONG_LEASE = 1.5
"""Seconds: for what needs time while a lease lasts."""

Schedule = Callable[[Installation], Awaitable[None]]

pytestmark = pytest.mark.timeout(7200 if LONG else 150)


@pytest.fixture(scope="module", autouse=True)
def _network() -> None:
    if why := missing():
        pytest.skip(why)


def enough(faults: int) -> Work:
    """With less than this a run proves nothing."""
    return Work(asks=150 * faults, hits=80 * faults, revocations=4 * faults, late=5 * faults)


def broken(history: History, lease: float) -> list[Violation]:
    return violations(history, wait_out(timedelta(seconds=lease)))


def judge(history: History, lease: float, minimum: Work) -> None:
    """Fails if a promise was broken, or if too little happened to tell."""
    found = broken(history, lease)
    assert not found, "\n".join(map(str, found[:10]))
    lacking = work(history, lease).lacks(minimum)
    assert not lacking, f"void: only {', '.join(lacking)}"


async def survive(
    running: AbstractAsyncContextManager[Installation], kinds: Sequence[Fault], faults: int
) -> None:
    """Clients ask and things change all the time, while one thing after the other goes wrong."""
    chance = random.Random(SEED)
    async with running as made:
        await made.begin(SEED)
        await made.command("churn")
        happened = await go_wrong(made, drawn(kinds, faults, chance), chance)
        assert await made.command("rest") == {"failed": []}
        judge(await made.end(), made.lease, enough(faults))
    assert len(happened) == min(faults, len(kinds)), f"void: only {happened}"


@pytest.mark.long
async def test_promises_hold_with_sqlite(tmp_path: Path) -> None:
    """One authority: gateways cut off, both ways and one way; everybody frozen and killed."""
    await survive(sqlite_installation(tmp_path), ANYWHERE, FAULTS // 2)


@pytest.mark.long
async def test_promises_hold_with_postgresql(tmp_path: Path) -> None:
    """Three authorities and their database, which is frozen, stopped and cut off from them, too."""
    await survive(postgres_installation(tmp_path), WITH_DATABASE, FAULTS)


SCHEDULES: tuple[tuple[str, Schedule, int], ...] = (
    ("no_wait", schedules.revoked_while_frozen, 1),
    ("no_inflight_guard", schedules.overtaken_verdict, 1),
    ("lease_from_receipt", schedules.woken_by_an_old_reply, 3),
    ("janitor_without_beats", schedules.frozen_without_a_session, 2),
)
"""Bugs, and how often what they do not survive is done."""

ATTEMPTS = 4


async def test_schedules_are_harmless(tmp_path: Path) -> None:
    """The schedules that seeded bugs break the promises by do not break them without the bugs."""
    async with sqlite_installation(tmp_path, "slow_verify_replies") as made:
        await made.begin(SEED)
        for _, schedule, _ in SCHEDULES:
            await schedule(made)
        minimum = Work(asks=400, hits=200, revocations=len(SCHEDULES), late=0)
        judge(await made.end(), made.lease, minimum)


@pytest.mark.parametrize(
    ("bug", "schedule", "times"), SCHEDULES, ids=[bug for bug, _, _ in SCHEDULES]
)
async def test_seeded_bugs_are_found(
    tmp_path: Path, bug: str, schedule: Schedule, times: int
) -> None:
    """A rule of the protocol that is broken in the shipped classes breaks a promise here.

    Whether it does hangs on moments that a busy machine may miss, so it is tried a few times.
    """
    for attempt in range(ATTEMPTS):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        async with sqlite_installation(folder, f"{bug},slow_verify_replies") as made:
            await made.begin(SEED)
            for _ in range(times):
                await schedule(made)
            if broken(await made.end(), made.lease):
                return
    pytest.fail(f"{bug} broke no promise in {ATTEMPTS} attempts")


@pytest.mark.long
@pytest.mark.parametrize("seeded", ["slow_joins", "joins_without_lock"])
async def test_a_join_beside_a_change(tmp_path: Path, seeded: str) -> None:
    """A gateway that joins while a key is revoked hears of it, but not if its join locks nothing."""
    if not LONG:
        pytest.skip("takes a minute: make test-long")
    async with postgres_installation(tmp_path, seeded, LONG_LEASE) as made:
        await made.begin(SEED)
        for _ in range(8):
            await schedules.overlooked_join(made)
        found = broken(await made.end(), made.lease)
    assert bool(found) == (seeded == "joins_without_lock"), found[:3]


GOES_ON = 20.0
"""Seconds within which changes have to go on after a standby took the place of a server that hangs."""


async def test_a_primary_that_hangs(tmp_path: Path) -> None:
    """The server that is named first hangs, and its standby is promoted: the promises hold, and
    changes go on by the authorities that know of both.
    """
    async with failing_over_installation(tmp_path) as made:
        await made.begin(SEED)
        await made.command("churn")
        await made.warm(100)
        await schedules.primary_that_hangs(made, GOES_ON)
        await asyncio.sleep(24 * made.lease)
        await made.command("rest")
        judge(await made.end(), made.lease, Work(asks=300, hits=100, revocations=8, late=5))


@pytest.mark.parametrize("seeded", ["", "answers_without_lease"])
async def test_an_old_primary_that_nobody_fenced(tmp_path: Path, seeded: str) -> None:
    """It runs on beside the new one, with an authority that knows of no other: this tells nobody that
    a live key does not exist, unless it answers without a lease.
    """
    async with failing_over_installation(tmp_path, seeded) as made:
        await made.begin(SEED)
        await schedules.old_primary_beside_the_new(made, GOES_ON)
        found = broken(await made.end(), made.lease)
    assert bool(found) == bool(seeded), found[:3]
