"""Calls of known callers, which are answered from memory, and by the guarded method otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from keyauthority.domain import secrets
from keyauthority.domain.callers import Role
from keyauthority.rpc.service import Service
from keyauthority.v1.caller_service_pb2 import RevokeCallerRequest
from keyauthority.v1.verification_service_pb2 import Verdict, VerifyRequest, VerifyResponse
from tests.rpc.books import GatedBooks
from tests.rpc.parts import (
    METHODS,
    TIMEOUT,
    Api,
    Authority,
    LeaseClock,
    path_of,
    reason,
    service,
    services_with,
    until_counted,
)

UNKNOWN = secrets.mint(secrets.new_id("key")).reveal()
FROM_MEMORY = VerifyResponse(verdict=Verdict.VERDICT_EXPIRED)
FROM_BOOKS = VerifyResponse(verdict=Verdict.VERDICT_UNKNOWN)


class Memory:
    """Answers each `Verify` the same, or raises `fault`."""

    fault: Exception | None = None

    def __call__(self, _message: bytes, _now: float) -> bytes:
        if self.fault is not None:
            raise self.fault
        return FROM_MEMORY.SerializeToString()


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def services(memory: Memory) -> Sequence[Service]:
    verification = service("VerificationService")
    return services_with(replace(verification, quick={"Verify": lambda _: memory}))


@pytest.fixture
async def known(authority: Authority) -> Api:
    """A caller that is in memory from its first call on."""
    caller = await authority.caller(Role.VERIFIER)
    assert await verify(caller) == FROM_BOOKS.verdict
    assert await verify(caller) == FROM_MEMORY.verdict
    return caller


async def verify(api: Api) -> int:
    answer: VerifyResponse = await api(VerifyRequest(secret=UNKNOWN))
    return answer.verdict


def begin(api: Api) -> Any:
    """Starts a `Verify`, whose message is not sent yet: the bytes on the wire are the same."""
    multicallable: Any = api.channel.stream_unary(
        path_of(METHODS["VerifyRequest"]),
        request_serializer=VerifyRequest.SerializeToString,
        response_deserializer=VerifyResponse.FromString,
    )
    return multicallable(metadata=api.metadata, timeout=TIMEOUT)


async def send(call: Any) -> None:
    await call.write(VerifyRequest(secret=UNKNOWN))
    await call.done_writing()


async def test_a_message_may_come_later(root: Api, known: Api) -> None:
    """Nothing changed since the headers: memory answers."""
    call = begin(known)
    await verify(root)

    await send(call)

    assert (await call).verdict == FROM_MEMORY.verdict


async def test_a_fault_of_memory_is_nobodys_answer(
    memory: Memory, known: Api, registry: CollectorRegistry
) -> None:
    """The guarded method answers and counts the call; the client sees no text of an exception."""
    memory.fault = RuntimeError("what the process has in memory")

    assert await verify(known) == FROM_BOOKS.verdict
    await until_counted(registry, "calls_total", 3, method="VerificationService.Verify", code="OK")


async def test_a_caller_revoked_before_its_message_came_is_refused(root: Api, known: Api) -> None:
    """Its headers found it in memory."""
    call = begin(known)
    await root(RevokeCallerRequest(caller_id=known.caller_id))

    await send(call)

    assert await reason(call) == "CREDENTIAL_INVALID"


async def test_without_a_lease_memory_answers_no_message(
    root: Api, known: Api, books: GatedBooks, lease_clock: LeaseClock
) -> None:
    """The lease ended while the message was on its way; the books can still answer."""
    call = begin(known)
    await verify(root)
    books.renewals.close()
    lease_clock.ahead += timedelta(minutes=1).total_seconds()

    await send(call)

    assert (await call).verdict == FROM_BOOKS.verdict
    books.renewals.open()
