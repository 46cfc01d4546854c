"""Neighbours of a verifier under test: an authority that says what the test wants, and patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from keyauthority.client import Secret, Verifier
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.parts import TOKEN, RecordingAuthority

Context = grpc.aio.ServicerContext[Any, Any]


class ScriptedAuthority(RecordingAuthority):
    """Grants leases on the terms that the test sets, and remembers who synced and who left."""

    def __init__(self) -> None:
        super().__init__()
        self.lease = 60.0
        self.epoch = 1
        self.foreign_secrets = False
        # How the next Syncs fail: the last one stays.
        self.sync_fails: grpc.StatusCode | None = None
        self.heads: list[tuple[int, int]] = []
        """Epoch and revision of the next answers to Verify; after these they are the newest."""
        self.syncs: list[pb.SyncRequest] = []
        self.left: list[str] = []
        self.door = asyncio.Event()
        """Calls of Verify wait until it is set."""
        self.door.set()

    async def Verify(self, request: pb.VerifyRequest, context: Context) -> pb.VerifyResponse:
        # The answer is read when the call arrives.
        answer = await super().Verify(request, context)
        answer.epoch, answer.revision = (
            self.heads.pop(0) if self.heads else (self.epoch, self.revision)
        )
        await self.door.wait()
        return answer

    async def Sync(self, request: pb.SyncRequest, context: Context) -> pb.SyncResponse:
        self.syncs.append(request)
        await self._fail(context)
        answer = await super().Sync(request, context)
        await self._fail(context)
        answer.epoch = self.epoch
        # Of a newer epoch only its number tells.
        answer.reset = request.epoch == 0
        answer.foreign_secrets = self.foreign_secrets
        seconds, part = divmod(self.lease, 1)
        answer.lease.CopyFrom(Duration(seconds=int(seconds), nanos=round(part * 1e9)))
        return answer

    async def Leave(self, request: pb.LeaveRequest, context: Context) -> pb.LeaveResponse:
        self.left.append(request.session_id)
        return pb.LeaveResponse()

    def asked_for(self, secret: str) -> int:
        """How many calls were about *secret*."""
        return sum(request.secret == secret for request in self.asked)

    async def _fail(self, context: Context) -> None:
        if self.sync_fails is not None:
            await context.abort(self.sync_fails, "as the test wants")


async def until(true: Callable[[], bool]) -> None:
    """Waits until *true* says so."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # what it asks can't wake us
            await asyncio.sleep(0.005)


@asynccontextmanager
async def leased(address: str, token: str = TOKEN, **options: Any) -> AsyncIterator[Verifier]:
    """A verifier that holds a lease."""
    async with Verifier(address, token=Secret(token), **{"timeout": 5.0, **options}) as verifier:
        await until(lambda: verifier.lease_held)
        yield verifier
