"""One of three authorities is stopped, killed or cut from its database: its gateways go on."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.base.process import clocks
from tests.e2e.processes import eventually
from tests.e2e.questions import Questions
from tests.e2e.replicas import Replicas, replicas

FAILOVER = 1.0
"""Seconds in which a gateway may have no verdict."""

WATCHED = 8.0
"""Seconds that it is asked for: until a silent connection is given up, and some more."""

CLIENTS = 2
"""Of each gateway."""

CACHES = ("on", "off")
KEYS = 40

pytestmark = pytest.mark.timeout(120)


def stop(made: Replicas) -> None:
    made.authorities[0].send(signal.SIGSTOP)


def kill(made: Replicas) -> None:
    made.authorities[0].send(signal.SIGKILL)


def cut(made: Replicas) -> None:
    made.cables[0].cut()


Answers = list[tuple[float, int]]
"""When was answered what."""


async def ask_always(port: int, secrets: list[str], answers: Answers) -> None:
    """Asks about one after the other on one connection, and keeps when and what was answered."""
    questions = await Questions.to(port)
    try:
        while True:
            for secret in secrets:
                status = await questions.ask(secret)
                answers.append((clocks.boottime(), status))
                await asyncio.sleep(0.02)
    finally:
        questions.abort()


async def asked_meanwhile(
    ports: list[int], secrets: list[str], happens: Callable[[], None]
) -> list[Answers]:
    """The answers of each gateway, by the time since *happens*, when it was asked about each key."""
    answers: list[Answers] = [[] for _ in ports]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(ask_always(port, secrets, mine))
            for port, mine in zip(ports, answers, strict=True)
            for _ in range(CLIENTS)
        ]
        while min(map(len, answers)) < CLIENTS * len(secrets):  # noqa: ASYNC110  # the clients can't wake us
            await asyncio.sleep(0.01)
        happens()
        begun = clocks.boottime()
        await asyncio.sleep(WATCHED)
        for task in tasks:
            task.cancel()
    return [[(at - begun, status) for at, status in mine] for mine in answers]


def health(made: Replicas) -> list[str]:
    """What each authority says of itself."""
    said = []
    for port in made.ports:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = HealthStub(channel)
            answer = stub.Check(HealthCheckRequest(), timeout=5)
            said.append(HealthCheckResponse.ServingStatus.Name(answer.status))
    return said


async def test_without_a_lease_an_authority_is_not_serving(tmp_path: Path) -> None:
    """Cut from its database it says so to whoever asks, a load balancer for instance."""
    async with replicas(tmp_path) as made:
        assert await asyncio.to_thread(health, made) == ["SERVING"] * 3
        made.cables[0].cut()
        sick = ["NOT_SERVING", "SERVING", "SERVING"]
        await asyncio.to_thread(eventually, "it says so", lambda: health(made) == sick)
        made.cables[0].mend()
        well = ["SERVING"] * 3
        await asyncio.to_thread(eventually, "it is well", lambda: health(made) == well)


@pytest.mark.parametrize("fault", [stop, kill, cut])
async def test_one_of_three_is_sick(tmp_path: Path, fault: Callable[[Replicas], None]) -> None:
    """No verdict for a second at most, and then always one; never a wrong one. With a cache and without."""
    async with replicas(tmp_path) as made:
        ports = [
            await asyncio.to_thread(made.gateway, "--cache", cache, name=f"gateway-{cache}")
            for cache in CACHES
        ]
        workspace = made.operator.workspace()
        secrets = [made.operator.issue(workspace)[1] for _ in range(KEYS)]

        answers = await asked_meanwhile(ports, secrets, lambda: fault(made))

        for cache, mine in zip(CACHES, answers, strict=True):
            assert {status for _, status in mine} <= {200, 503}, cache
            late = Counter(int(at) for at, status in mine if status == 503 and at > FAILOVER)
            assert not late, f"503 by the second, cache {cache}: {late}"
            # Before and after: there was somebody to answer.
            good = {int(at) for at, status in mine if status == 200}
            assert good >= {0, 1, 2, 3, 4, 5, 6, 7}, cache
