"""One channel to several real servers: what is asked again, what is sent once, and what is left alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyauthority.client import Secret, Verdict, VerificationUnavailable, Verifier, VerifierClient
from keyauthority.client.channel import connect, connect_blocking
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc.errors import to_status
from keyauthority.v1 import key_service_pb2 as keys
from keyauthority.v1 import verification_service_pb2 as pb
from keyauthority.v1.key_service_pb2_grpc import (
    KeyServiceServicer,
    KeyServiceStub,
    add_KeyServiceServicer_to_server,
)
from keyauthority.v1.verification_service_pb2_grpc import (
    add_VerificationServiceServicer_to_server,
)
from tests.client.parts import Context, ScriptedAuthority, until
from tests.gateway.parts import TOKEN, new_secret, valid_reply

REPLICAS = 3
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class OneReplica(ScriptedAuthority):
    """Answers all that it is asked, unless the test wants otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: grpc.StatusCode | None = None
        self.altered = ""
        self.health: Any = SERVING
        self.revoked: list[str] = []
        self.takes = 0.0
        self.synced = 0
        self.told: Callable[[OneReplica], None] = lambda _: None
        self.sync_door = asyncio.Event()
        self.sync_door.set()

    async def Verify(self, request: pb.VerifyRequest, context: Context) -> pb.VerifyResponse:
        if self.fails is not None:
            self.asked.append(request)
            await context.abort(self.fails, "as the test wants")
        if request.secret == self.altered:
            mismatch = KeyAuthorityError(Reason.KEYRING_MISMATCH, "altered")
            await context.abort_with_status(to_status(mismatch))
        self.answers.setdefault(request.secret, valid_reply())
        answer = await super().Verify(request, context)
        await asyncio.sleep(self.takes)
        self.told(self)
        return answer

    async def Sync(self, request: pb.SyncRequest, context: Context) -> pb.SyncResponse:
        self.syncs.append(request)
        await self.sync_door.wait()
        self.syncs.pop()
        answer = await super().Sync(request, context)
        self.synced += 1
        return answer

    async def serve(self, stack: AsyncExitStack) -> None:
        server = grpc.aio.server()
        add_VerificationServiceServicer_to_server(self, server)
        add_KeyServiceServicer_to_server(Keys(self), server)  # type: ignore[abstract]
        health_pb2_grpc.add_HealthServicer_to_server(Health(self), server)
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        stack.push_async_callback(server.stop, 0)


class Keys(KeyServiceServicer):
    """Its changes."""

    def __init__(self, replica: OneReplica) -> None:
        self._replica = replica

    async def RevokeKey(
        self, request: keys.RevokeKeyRequest, context: Context
    ) -> keys.RevokeKeyResponse:
        self._replica.revoked.append(request.key_id)
        if self._replica.fails is not None:
            await context.abort(self._replica.fails, "as the test wants")
        return keys.RevokeKeyResponse()


class Health(health_pb2_grpc.HealthServicer):
    """What it says of itself."""

    def __init__(self, replica: OneReplica) -> None:
        self._replica = replica

    async def Check(self, request: Any, context: Context) -> Message:
        return health_pb2.HealthCheckResponse(status=self._replica.health)


@pytest.fixture
async def three() -> AsyncIterator[list[OneReplica]]:
    async with AsyncExitStack() as stack:
        replicas = [OneReplica() for _ in range(REPLICAS)]
        for replica in replicas:
            await replica.serve(stack)
        yield replicas
        for replica in replicas:
            replica.door.set()
            replica.sync_door.set()


def addresses(replicas: list[OneReplica]) -> str:
    return ",".join(replica.address for replica in replicas)


def fail(replica: OneReplica) -> None:
    replica.fails = grpc.StatusCode.UNAVAILABLE


def hang(replica: OneReplica) -> None:
    replica.door.clear()


@pytest.mark.parametrize("goes_wrong", [fail, hang])
@pytest.mark.parametrize("sick", [1, 2])
async def test_a_question_is_asked_of_another(
    three: list[OneReplica], goes_wrong: Callable[[OneReplica], None], sick: int
) -> None:
    """Whatever one or two of three do, there is a verdict within the deadline."""
    for replica in three[:sick]:
        goes_wrong(replica)
    token = Secret(TOKEN)
    async with Verifier(addresses(three), token=token, cache=False, timeout=2.0) as verifier:
        for _ in range(4):
            assert (await verifier.verify(new_secret())).verdict is Verdict.VALID
        # Those who are sick are asked by one call a second.
        asked = sum(len(replica.asked) for replica in three[:sick])
        for _ in range(20):
            assert (await verifier.verify(new_secret())).verdict is Verdict.VALID
        assert sum(len(replica.asked) for replica in three[:sick]) <= asked + 4 * sick


@pytest.mark.parametrize("goes_wrong", [fail, hang])
async def test_threads_ask_another_too(
    three: list[OneReplica], goes_wrong: Callable[[OneReplica], None]
) -> None:
    """The client without an event loop, which leaves a slow one for the next."""
    goes_wrong(three[0])
    goes_wrong(three[1])
    with VerifierClient(addresses(three), token=Secret(TOKEN), timeout=2.0) as client:
        for _ in range(6):
            answer = await asyncio.to_thread(client.verify, new_secret())
            assert answer.verdict is Verdict.VALID


async def test_a_question_that_nobody_can_answer_makes_nobody_sick(
    three: list[OneReplica],
) -> None:
    """Else whoever presents an altered secret again and again leaves all calls to one replica."""
    altered = new_secret()
    for replica in three:
        replica.altered = altered
    token = Secret(TOKEN)
    async with Verifier(addresses(three), token=token, cache=False, timeout=2.0) as verifier:
        for _ in range(12):
            with pytest.raises(VerificationUnavailable):
                await verifier.verify(altered)
            assert (await verifier.verify(new_secret())).verdict is Verdict.VALID
    assert min(len(replica.asked) for replica in three) > 1


async def test_nobody_answers(three: list[OneReplica]) -> None:
    """No verdict: at once if all fail, within the deadline if all hang."""
    for replica in three:
        fail(replica)
    token = Secret(TOKEN)
    async with Verifier(addresses(three), token=token, cache=False, timeout=1.0) as verifier:
        with pytest.raises(VerificationUnavailable, match="UNAVAILABLE"):
            await verifier.verify(new_secret())
        assert [len(replica.asked) for replica in three] == [1, 1, 1]
        for replica in three:
            replica.fails = None
            hang(replica)
        async with asyncio.timeout(10):
            with pytest.raises(VerificationUnavailable):
                await verifier.verify(new_secret())


async def test_all_hang_and_one_never_comes_back(three: list[OneReplica]) -> None:
    """The others are asked again, although the one that gave the last answer gives none any more.

    Who gets no time to answer is not called sick: each call that fails would put off its trial.
    """
    answered: list[OneReplica] = []
    for replica in three:
        replica.takes, replica.told = 0.02, answered.append
    token = Secret(TOKEN)
    async with Verifier(addresses(three), token=token, cache=False, timeout=0.3) as verifier:

        async def ask() -> bool:
            try:
                return (await verifier.verify(new_secret())).verdict is Verdict.VALID
            except VerificationUnavailable:
                return False

        async def ask_for(seconds: float) -> list[bool]:
            asking = []
            for _ in range(int(seconds / 0.02)):
                asking.append(asyncio.create_task(ask()))
                await asyncio.sleep(0.02)
            return await asyncio.gather(*asking)

        assert all(await ask_for(0.3))
        for replica in three:
            hang(replica)
        assert not any((await ask_for(1.0))[5:])
        for replica in three:
            if replica is not answered[-1]:
                replica.door.set()
        async with asyncio.timeout(4):
            while not all(await ask_for(0.1)):
                pass
        assert all(await ask_for(0.5))


async def test_what_is_refused_is_not_asked_again(three: list[OneReplica]) -> None:
    """A refusal is an answer, and its replica is well."""
    for replica in three:
        replica.fails = grpc.StatusCode.PERMISSION_DENIED
    token = Secret(TOKEN)
    async with Verifier(addresses(three), token=token, cache=False, timeout=5.0) as verifier:
        for _ in range(6):
            with pytest.raises(VerificationUnavailable, match="PERMISSION_DENIED"):
                await verifier.verify(new_secret())
    assert [len(replica.asked) for replica in three] == [2, 2, 2]


async def test_a_frozen_sync_does_not_cost_the_lease(three: list[OneReplica]) -> None:
    """The next one goes to another replica while the lease lasts."""
    for replica in three:
        replica.lease = 3.0
    async with Verifier(addresses(three), token=Secret(TOKEN), timeout=5.0) as verifier:
        await until(lambda: verifier.lease_held)
        for replica in three[:1]:
            replica.sync_door.clear()
        await until(lambda: bool(three[0].syncs))
        lost, synced = False, sum(replica.synced for replica in three[1:])
        async with asyncio.timeout(30):
            while sum(replica.synced for replica in three[1:]) < synced + 2:
                lost = lost or not verifier.lease_held
                await asyncio.sleep(0.01)
        assert not lost


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_change_is_sent_once(three: list[OneReplica], blocking: bool) -> None:
    """To one that says that it is well; when that fails nobody else hears of it."""
    three[0].health = three[1].health = NOT_SERVING
    fail(three[2])
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as failure:
            await _revoked(addresses(three), blocking)
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    assert [len(replica.revoked) for replica in three] == [0, 0, 3]
    # If nobody is well, one of them says why.
    three[2].health = NOT_SERVING
    three[0].fails = three[1].fails = grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.RpcError):
        await _revoked(addresses(three), blocking)
    assert sum(len(replica.revoked) for replica in three) == 4


async def test_one_that_is_well_is_health(three: list[OneReplica]) -> None:
    """Who asks several how they are hears of the one that can do the work, if there is one."""
    request = health_pb2.HealthCheckRequest()
    async with connect(addresses(three)) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        three[0].health = three[1].health = NOT_SERVING
        assert (await stub.Check(request)).status == SERVING
        for _ in range(3):
            assert (await stub.Check(request, timeout=5)).status == SERVING
        three[2].health = NOT_SERVING
        assert (await stub.Check(request, timeout=5)).status == NOT_SERVING


async def _revoked(several: str, blocking: bool) -> None:
    request = keys.RevokeKeyRequest(key_id="key_1")
    if blocking:
        with connect_blocking(several) as channel:
            await asyncio.to_thread(KeyServiceStub(channel).RevokeKey, request, timeout=5.0)
        return
    async with connect(several) as channel:
        await KeyServiceStub(channel).RevokeKey(request, timeout=5.0)


FORKING = """
import os, sys
from keyauthority.client import Secret, Verdict, VerifierClient
address, token, *secrets = sys.argv[1:]
def ask(secret):
    with VerifierClient(address, token=Secret(token), timeout=5.0) as client:
        return client.verify(secret).verdict is Verdict.VALID
with VerifierClient(address, token=Secret(token), timeout=5.0) as parents:
    for secret in secrets:
        assert parents.verify(secret).verdict is Verdict.VALID
        child = os.fork()
        if child == 0:
            os._exit(0 if ask(secret) else 1)
        assert os.waitpid(child, 0)[1] == 0
"""
"""A parent that asks, and children beside it that each ask with a client of their own."""


@pytest.mark.parametrize("number", [1, REPLICAS])
async def test_a_forked_childs_own_client_works_at_once(
    three: list[OneReplica], number: int
) -> None:
    """Nothing of its parent's connections is in its way."""
    secrets = [new_secret() for _ in range(12)]
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FORKING, addresses(three[:number]), TOKEN, *secrets),
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, errors = await program.communicate()
    assert program.returncode == 0, errors.decode()
    assert sum(len(replica.asked) for replica in three) == 2 * len(secrets)
