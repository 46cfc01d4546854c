"""Callers that leave in the middle of their calls cost the authority nothing that lasts."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.client.channel import connect
from keyauthority.client.credentials import bearer_metadata, load_token
from keyauthority.config import Settings
from keyauthority.server import serving
from keyauthority.v1 import key_service_pb2 as keys
from keyauthority.v1 import verification_service_pb2 as verification
from keyauthority.v1 import workspace_service_pb2 as workspaces
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub

LONG = bool(os.environ.get("TEST_LONG"))
CALLS = 100_000 if LONG else 5_000
AT_A_TIME = 50
PATIENCE = 20.0

Call = Callable[[], Awaitable[Any]]


@dataclass
class Authority:
    """An authority in this process, so that its tasks can be counted."""

    keys: Any
    verification: Any
    health: Any
    token: tuple[tuple[str, str]]
    workspace_id: str
    address: str
    chance: random.Random = field(default_factory=lambda: random.Random(3))
    cancelled: int = 0
    refused: int = 0

    async def issue(self, request_id: str = "") -> keys.IssueKeyResponse:
        request = keys.IssueKeyRequest(
            workspace_id=self.workspace_id, name="left", request_id=request_id
        )
        return await self.keys.IssueKey(request, metadata=self.token)

    async def revoke(self, key_id: str) -> None:
        await self.keys.RevokeKey(keys.RevokeKeyRequest(key_id=key_id), metadata=self.token)

    async def verdict(self, secret: str) -> int:
        request = verification.VerifyRequest(secret=secret)
        answer = await self.verification.Verify(request, metadata=self.token)
        return int(answer.verdict)

    async def verdicts(self, secrets: Sequence[str]) -> list[int]:
        request = verification.BatchVerifyRequest(secrets=secrets)
        reply = await self.verification.BatchVerify(request, metadata=self.token)
        return [answer.verdict for answer in reply.answers]

    async def watch(self, health: Any) -> None:
        call = health.Watch(HealthCheckRequest())
        try:
            async for _ in call:
                pass
        finally:
            call.cancel()

    async def desert(self, calls: list[Call]) -> None:
        """Makes the calls, some at a time, and leaves each of them after a moment."""
        places = asyncio.Semaphore(AT_A_TIME)
        async with asyncio.TaskGroup() as group:
            for call in calls:
                await places.acquire()
                task = group.create_task(self._leave(call))
                task.add_done_callback(lambda _: places.release())

    async def _leave(self, call: Call) -> None:
        # From before it is sent to after it is answered.
        work = asyncio.ensure_future(call())
        await asyncio.wait({work}, timeout=self.chance.choice((0, 0.005, 0.05, 0.2)))
        work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            self.cancelled += 1
        except grpc.aio.AioRpcError as error:
            # gRPC itself sheds a connection's calls while too many cancelled ones are unwinding;
            # and changes that were left keep their places until they are made.
            if error.code() not in SHED:
                raise
            self.refused += 1


SHED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))  # noqa: PTH208  # a path would be one more of them


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[Authority]:
    data = tmp_path / "data"
    settings = Settings("127.0.0.1:0", data, data / "authority.db", data / "keyring.json")
    async with serving(settings) as port:
        token = bearer_metadata(load_token(settings.root_token))
        async with connect(f"127.0.0.1:{port}") as channel:
            created = await WorkspaceServiceStub(channel).CreateWorkspace(
                workspaces.CreateWorkspaceRequest(name="acme"), metadata=token
            )
            yield Authority(
                KeyServiceStub(channel),
                VerificationServiceStub(channel),
                HealthStub(channel),
                token,
                created.workspace.id,
                f"127.0.0.1:{port}",
            )


def batches(items: list[str], size: int) -> list[list[str]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


async def settled(tasks: int, files: int) -> None:
    """Returns when no more tasks and files are open than there were."""
    async with asyncio.timeout(PATIENCE):
        while len(asyncio.all_tasks()) > tasks or descriptors() > files:
            gc.collect()
            await asyncio.sleep(0.05)


@pytest.mark.long
@pytest.mark.timeout(7200 if LONG else 120)
async def test_deserted_verifications(authority: Authority) -> None:
    """Verifications that nobody waits for end, and the next one is answered."""
    secret = (await authority.issue()).secret
    tasks, files = len(asyncio.all_tasks()), descriptors()

    await authority.desert([lambda: authority.verdict(secret)] * CALLS)

    assert authority.cancelled > CALLS / 10
    await settled(tasks, files)
    assert await authority.verdict(secret) == verification.VERDICT_VALID


@pytest.mark.long
@pytest.mark.timeout(7200 if LONG else 120)
async def test_deserted_watches(authority: Authority) -> None:
    """Watches of the health that are given up end, and the next one is told."""
    async with AsyncExitStack() as stack:
        # One connection may have a few at a time.
        channels = [
            await stack.enter_async_context(connect(authority.address)) for _ in range(AT_A_TIME)
        ]
        healths: Iterator[Any] = cycle([HealthStub(channel) for channel in channels])
        watch = next(healths).Watch(HealthCheckRequest())
        assert (await anext(aiter(watch))).status == HealthCheckResponse.SERVING
        watch.cancel()
        for channel in channels:
            await channel.channel_ready()
        tasks, files = len(asyncio.all_tasks()), descriptors()

        await authority.desert([partial(authority.watch, next(healths)) for _ in range(CALLS)])

        await settled(tasks, files)
    assert authority.cancelled > CALLS * 0.9
    status = await authority.health.Check(HealthCheckRequest())
    assert status.status == HealthCheckResponse.SERVING


@pytest.mark.long
@pytest.mark.timeout(7200 if LONG else 300)
async def test_deserted_changes(authority: Authority) -> None:
    """Keys whose issuing was given up can be had by asking again; revocations answered hold."""
    await authority.issue()
    tasks, files = len(asyncio.all_tasks()), descriptors()
    request_ids = [str(uuid.uuid4()) for _ in range(CALLS)]
    answers: dict[str, tuple[str, str]] = {}
    revoked: set[str] = set()

    async def issue(request_id: str) -> None:
        issued = await authority.issue(request_id)
        answers[request_id] = (issued.key.id, issued.secret)

    async def revoke(request_id: str) -> None:
        await authority.revoke(answers[request_id][0])
        revoked.add(request_id)

    await authority.desert([partial(issue, one) for one in request_ids])
    assert authority.cancelled > CALLS / 10
    await settled(tasks, files)
    assert 0 < len(answers) < CALLS
    before = dict(answers)
    unanswered = [one for one in request_ids if one not in before]
    for some in batches([*unanswered[:1_000], *before][:1_500], AT_A_TIME):
        await asyncio.gather(*map(issue, some))
    assert answers.items() >= before.items()
    known = list(answers)

    await authority.desert([partial(revoke, one) for one, _ in zip(cycle(known), range(CALLS))])
    await settled(tasks, files)
    assert revoked
    for some in batches(known, 1_000):
        verdicts = await authority.verdicts([answers[one][1] for one in some])
        for request_id, verdict in zip(some, verdicts, strict=True):
            either = set() if request_id in revoked else {verification.VERDICT_VALID}
            assert verdict in either | {verification.VERDICT_REVOKED}
