"""Outages of the authority, as a gateway and its clients live through them."""

from __future__ import annotations

import asyncio
import random
import signal
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keyauthority.base.process import clocks
from keyauthority.base.process.files import write_private
from tests.e2e.cable import Cable, cable
from tests.e2e.edge import Edge, edge_running
from tests.e2e.new_books import new_books
from tests.e2e.processes import PATIENCE, eventually
from tests.e2e.questions import Questions, ask

LEASE = 1.0
DEADLINE = 0.5
"""Seconds in which the gateway has a verdict, or none."""

RECOVERY = 2.0
"""Seconds from the end of an outage to the first good answer."""

SLACK = 2.0
"""Seconds that a machine which is busy with other tests may add to any of them."""

CLIENTS = 8
CROWD = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    asked: float
    answered: float
    status: int


@dataclass(slots=True)
class Clients:
    """They ask about a good key and a revoked one, and keep every answer."""

    port: int
    good: str
    revoked: str
    answers: dict[str, list[Answer]] = field(default_factory=lambda: {"good": [], "revoked": []})

    async def ask_always(self) -> None:
        questions = await Questions.to(self.port)
        try:
            while True:
                await self._ask(questions, "good", self.good)
                await self._ask(questions, "revoked", self.revoked)
        finally:
            questions.abort()

    async def _ask(self, questions: Questions, which: str, secret: str) -> None:
        asked = clocks.boottime()
        status = await questions.ask(secret)
        self.answers[which].append(Answer(asked, clocks.boottime(), status))
        await asyncio.sleep(random.uniform(0.01, 0.03))

    async def good_again(self, since: float) -> float:
        """When the first one was accepted that was asked after *since*."""
        while True:
            for answer in reversed(self.answers["good"]):
                if answer.asked > since and answer.status == 200:
                    return answer.answered
            await asyncio.sleep(0.01)


@asynccontextmanager
async def asking(edge: Edge, port: int) -> AsyncIterator[Clients]:
    """Clients at work, of a key that is in the gateway's memory."""
    workspace = await asyncio.to_thread(edge.operator.workspace)
    _, good = await asyncio.to_thread(edge.operator.issue, workspace)
    key, revoked = await asyncio.to_thread(edge.operator.issue, workspace)
    assert await verdict(port, revoked) == 200
    await asyncio.to_thread(edge.operator.revoke, key.id)
    clients = Clients(port, good, revoked)
    tasks = [asyncio.create_task(clients.ask_always()) for _ in range(CLIENTS)]
    try:
        await clients.good_again(clocks.boottime())
        yield clients
        assert not [task for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(scope="module")
def cabled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Edge, Cable]]:
    """An installation with short leases, and a cable from its gateway to the authority.

    Every test leaves it whole.
    """
    folder = tmp_path_factory.mktemp("cabled")
    (folder / "data").mkdir(mode=0o700)
    new_books(folder / "data" / "keyauthority.db", LEASE)
    with cable() as made:
        flags = ["--authority", f"127.0.0.1:{made.port}", "--max-refusals", "0"]
        with edge_running(folder, *flags) as edge:
            made.target = edge.authority_port
            yield edge, made


async def leased(edge: Edge) -> None:
    """Returns once the gateway may answer from its memory."""
    url = f"http://127.0.0.1:{edge.gateway_metrics_port}/metrics"

    def held() -> bool:
        with urllib.request.urlopen(url) as metrics:
            return b"\ngateway_lease_held 1" in metrics.read()

    await asyncio.to_thread(eventually, "the gateway has a lease", held)


async def verdict(port: int, secret: str) -> int:
    """The first answer that is one, as soon as there is."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if (status := await ask(port, secret)) != 503:
                return status
            await asyncio.sleep(0.05)


def kill(edge: Edge, _: Cable) -> None:
    edge.authority.send(signal.SIGKILL)


def freeze(edge: Edge, _: Cable) -> None:
    edge.authority.send(signal.SIGSTOP)


def cut(_: Edge, made: Cable) -> None:
    made.cut()


def recover(edge: Edge, _: Cable) -> None:
    edge.recover_authority()
    edge.authority.port()


def mend(_: Edge, made: Cable) -> None:
    made.mend()


OUTAGES = {"killed": (kill, recover), "frozen": (freeze, recover), "cut off": (cut, mend)}


@pytest.mark.parametrize(("begin", "end"), OUTAGES.values(), ids=OUTAGES)
async def test_an_outage_of_the_authority(
    cabled: tuple[Edge, Cable],
    begin: Callable[[Edge, Cable], None],
    end: Callable[[Edge, Cable], None],
) -> None:
    """While the lease lasts nobody notices, then there is 503 in time; never a 401 for a good key, nor
    an acceptance of a revoked one; and soon after the end all is well.
    """
    edge, made = cabled
    await leased(edge)
    async with asking(edge, edge.port) as clients:
        await asyncio.to_thread(begin, edge, made)
        begun = clocks.boottime()
        # A client whose calls run out of time asks about the good key once a second.
        await asyncio.sleep(4 * LEASE)
        await asyncio.to_thread(end, edge, made)
        ended = clocks.boottime()
        async with asyncio.timeout(PATIENCE):
            first = await clients.good_again(ended)

    good, revoked = clients.answers["good"], clients.answers["revoked"]
    assert {answer.status for answer in good} == {200, 503}
    assert {answer.status for answer in revoked} <= {401, 503}
    beyond = [answer for answer in good if begun + LEASE < answer.asked < ended - SLACK / 2]
    assert {answer.status for answer in beyond} == {503}
    without = [answer for answer in good if answer.status == 503]
    assert max(answer.answered - answer.asked for answer in without) < DEADLINE + SLACK
    assert first - ended < RECOVERY + SLACK


async def test_the_gateways_credential_is_revoked(
    cabled: tuple[Edge, Cable], tmp_path: Path
) -> None:
    """Once its caller is revoked, a gateway accepts nothing, and tells nobody that a key is bad."""
    edge, _ = cabled
    token = await asyncio.to_thread(edge.operator.verifier_token, "another gateway")
    write_private(tmp_path / "token", token)
    gateway = edge.start_gateway("--token-file", str(tmp_path / "token"), "--max-refusals", "0")
    async with asking(edge, await asyncio.to_thread(gateway.port)) as clients:
        await asyncio.to_thread(edge.operator.revoke_caller, "another gateway")
        revoked_at = clocks.boottime()
        await asyncio.sleep(LEASE)

    good, revoked = clients.answers["good"], clients.answers["revoked"]
    assert {answer.status for answer in good if answer.asked > revoked_at} == {503}
    assert {answer.status for answer in good} == {200, 503}
    assert {answer.status for answer in revoked} <= {401, 503}


async def test_revoked_while_the_gateway_is_cut_off(cabled: tuple[Edge, Cable]) -> None:
    """The revocation waits for the lease that it can't call back; then the key is dead, also there."""
    edge, made = cabled
    await leased(edge)
    workspace = await asyncio.to_thread(edge.operator.workspace)
    key, secret = await asyncio.to_thread(edge.operator.issue, workspace)
    assert await ask(edge.port, secret) == 200

    made.cut()
    assert await ask(edge.port, secret) == 200
    await asyncio.to_thread(edge.operator.revoke, key.id)
    statuses = {await ask(edge.port, secret) for _ in range(3)}
    made.mend()
    status = await verdict(edge.port, secret)

    assert statuses == {503}
    assert status == 401


async def test_a_crowd_loses_the_lease(cabled: tuple[Edge, Cable]) -> None:
    """A thousand clients at once: each is answered all the time, and served again after it."""
    edge, made = cabled
    await leased(edge)
    workspace = await asyncio.to_thread(edge.operator.workspace)
    secrets = [(await asyncio.to_thread(edge.operator.issue, workspace))[1] for _ in range(100)]
    crowd = [await Questions.to(edge.port) for _ in range(CROWD)]
    presented = (secrets * CROWD)[:CROWD]
    statuses: Counter[int] = Counter()

    assert await everybody(crowd, presented) == {200: CROWD}
    made.cut()
    lost = clocks.boottime()
    while clocks.boottime() < lost + 2.5 * LEASE:
        statuses += await everybody(crowd, presented)
    # Nothing but 503 by now, to whomever.
    without = await everybody(crowd, presented)
    made.mend()
    await leased(edge)
    again = await everybody(crowd, presented)
    for questions in crowd:
        questions.abort()

    assert set(statuses) == {200, 503}
    assert without == {503: CROWD}
    assert again == {200: CROWD}


async def everybody(crowd: Sequence[Questions], secrets: Sequence[str]) -> Counter[int]:
    """What each of them is answered, all at once."""
    asking = (one.ask(secret) for one, secret in zip(crowd, secrets, strict=True))
    async with asyncio.timeout(PATIENCE):
        return Counter(await asyncio.gather(*asking))
