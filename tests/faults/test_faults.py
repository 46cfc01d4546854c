"""Real processes on a network that fails: what is promised holds, and bugs do not go unnoticed."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from keyauthority.coherence.leases import wait_out
from tests.faults import schedules
from tests.faults.checking import Violation, Work, violations, work
from tests.faults.faults import ANYWHERE, drawn, go_wrong
from tests.faults.history import History
from tests.faults.installation import LEASE, Installation, sqlite_installation
from tests.faults.network import missing

LONG = bool(os.environ.get("TEST_LONG"))
FAULTS = 200 if LONG else 10
SEED = int(os.environ.get("TEST_SEED", "1"))


def enough(faults: int) -> Work:
    """With less than this a run proves nothing."""
    return Work(asks=100 * faults, hits=50 * faults, revocations=4 * faults, late=10 * faults)


Schedule = Callable[[Installation], Awaitable[None]]

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing() or "none"),
    pytest.mark.timeout(7200 if LONG else 150),
]


def broken(history: History) -> list[Violation]:
    return violations(history, wait_out(timedelta(seconds=LEASE)))


def judge(history: History, minimum: Work) -> None:
    """Fails if a promise was broken, or if too little happened to tell."""
    found = broken(history)
    assert not found, "\n".join(map(str, found[:10]))
    lacking = work(history, LEASE).lacks(minimum)
    assert not lacking, f"void: only {', '.join(lacking)}"


@pytest.mark.long
async def test_promises_hold_with_sqlite(tmp_path: Path) -> None:
    """One authority: gateways cut off, both ways and one way; everybody frozen and killed."""
    chance = random.Random(SEED)
    async with sqlite_installation(tmp_path) as made:
        await made.begin(SEED)
        await made.command("churn")
        await go_wrong(made, drawn(ANYWHERE, FAULTS // 2, chance), chance)
        assert await made.command("rest") == {"failed": []}
        judge(await made.end(), enough(FAULTS // 2))


SCHEDULES: tuple[tuple[str, Schedule], ...] = (
    ("no_wait", schedules.revoked_while_frozen),
    ("lease_from_receipt", schedules.woken_by_an_old_reply),
    ("janitor_without_beats", schedules.frozen_without_a_session),
    ("no_inflight_guard", schedules.overtaken_verdict),
)


async def test_schedules_are_harmless(tmp_path: Path) -> None:
    """The schedules that seeded bugs break the promises by do not break them without the bugs."""
    async with sqlite_installation(tmp_path, "slow_verify_replies") as made:
        await made.begin(SEED)
        for _, schedule in SCHEDULES:
            await schedule(made)
        judge(await made.end(), Work(asks=400, hits=200, revocations=len(SCHEDULES), late=0))


@pytest.mark.parametrize(("bug", "schedule"), SCHEDULES, ids=[bug for bug, _ in SCHEDULES])
async def test_seeded_bugs_are_found(tmp_path: Path, bug: str, schedule: Schedule) -> None:
    """A rule of the protocol that is broken in the shipped classes breaks a promise here."""
    async with sqlite_installation(tmp_path, f"{bug},slow_verify_replies") as made:
        await made.begin(SEED)
        for _ in range(3):
            await schedule(made)
        assert broken(await made.end())
