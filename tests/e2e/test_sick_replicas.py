"""One of three authorities is stopped, killed or cut from its database: its gateways go on."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from keyauthority import boottime
from tests.e2e.questions import Questions
from tests.e2e.replicas import Replicas, replicas

FAILOVER = 1.0
"""Seconds in which a gateway may have no verdict."""

WATCHED = 8.0
"""Seconds that it is asked for: until a silent connection is given up, and some more."""

CLIENTS = 8
KEYS = 40

pytestmark = pytest.mark.timeout(120)


def stop(made: Replicas) -> None:
    made.authorities[0].send(signal.SIGSTOP)


def kill(made: Replicas) -> None:
    made.authorities[0].send(signal.SIGKILL)


def cut(made: Replicas) -> None:
    made.cables[0].cut()


async def ask_always(port: int, secrets: list[str], answers: list[tuple[float, int]]) -> None:
    """Asks about one after the other on one connection, and keeps when and what was answered."""
    questions = await Questions.to(port)
    try:
        while True:
            for secret in secrets:
                status = await questions.ask(secret)
                answers.append((boottime.now(), status))
                await asyncio.sleep(0.005)
    finally:
        questions.abort()


async def asked_meanwhile(
    port: int, secrets: list[str], happens: Callable[[], None]
) -> list[tuple[float, int]]:
    """The answers from a second before *happens* on, by the time since then."""
    answers: list[tuple[float, int]] = []
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask_always(port, secrets, answers)) for _ in range(CLIENTS)]
        await asyncio.sleep(1)
        happens()
        begun = boottime.now()
        await asyncio.sleep(WATCHED)
        for task in tasks:
            task.cancel()
    return [(at - begun, status) for at, status in answers]


@pytest.mark.parametrize("cache", ["on", "off"])
@pytest.mark.parametrize("fault", [stop, kill, cut])
async def test_one_of_three_is_sick(
    tmp_path: Path, fault: Callable[[Replicas], None], cache: str
) -> None:
    """No verdict for a second at most, and then always one; never a wrong one."""
    async with replicas(tmp_path) as made:
        port = await asyncio.to_thread(made.gateway, "--cache", cache)
        workspace = made.operator.workspace()
        secrets = [made.operator.issue(workspace)[1] for _ in range(KEYS)]

        answers = await asked_meanwhile(port, secrets, lambda: fault(made))

        assert {status for _, status in answers} <= {200, 503}
        late = Counter(int(at) for at, status in answers if status == 503 and at > FAILOVER)
        assert not late, f"503 by the second: {late}"
        # Before and after: there was somebody to answer.
        assert {int(at) for at, status in answers if status == 200} >= {0, 1, 2, 3, 4, 5, 6, 7}
