"""Writers that remember what they were told, and what may have become of what they were not."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from keyauthority.domain.verdicts import Verdict
from keyauthority.v1 import key_service_pb2 as keys
from keyauthority.v1 import verification_service_pb2 as verification
from keyauthority.v1 import workspace_service_pb2 as workspaces
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub
from tests.e2e.authority import AuthorityProcess

VALID, REVOKED = frozenset({Verdict.VALID}), frozenset({Verdict.REVOKED})
HOUR = Duration(seconds=3600)
TIMEOUT = 20.0
BATCH = 1_000

Operation = Callable[[], Awaitable[None]]


class Writers:
    """Issues, rotates and revokes keys.

    `allowed` holds what may be said of each secret; before an operation is answered both its
    outcomes may. `unanswered` are the operations to repeat. `revision` is the latest receipt's.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.allowed: dict[str, frozenset[Verdict]] = {}
        self.unanswered: list[Operation] = []
        self.acknowledged = 0
        self.revision = 0
        self._workspace_id = ""
        self._progress = asyncio.Condition()

    async def connect(self, process: AuthorityProcess) -> None:
        """Talks to *process* from now on."""
        self._token = process.token
        self._keys = KeyServiceStub(process.channel)
        self._verification = VerificationServiceStub(process.channel)
        if not self._workspace_id:
            stub = WorkspaceServiceStub(process.channel)
            request = workspaces.CreateWorkspaceRequest(name="acme")
            created = await stub.CreateWorkspace(request, metadata=self._token, timeout=TIMEOUT)
            self._workspace_id = created.workspace.id

    async def write(self) -> None:
        """Writes until the authority is gone; any other failure is one of the test."""
        with pytest.raises(grpc.aio.AioRpcError) as gone:  # noqa: PT012  # any of them may be it
            while True:
                await self._live()
        # CANCELLED is gRPC's own answer to a call that arrives in the very moment of a stop.
        assert gone.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

    async def acknowledgements(self, count: int) -> None:
        """Returns when *count* more operations were answered."""
        wanted = self.acknowledged + count
        async with asyncio.timeout(TIMEOUT), self._progress:
            await self._progress.wait_for(lambda: self.acknowledged >= wanted)

    async def check(self) -> None:
        """Every secret is what it may be, before and after what was unanswered is repeated."""
        await self._check_all()
        repeats, self.unanswered = self.unanswered, []
        for operation in repeats:
            await operation()
        await self._check_all()

    async def _live(self) -> None:
        secrets: list[str] = []
        key_ids: list[str] = []
        await self._do(partial(self._issue, str(uuid.uuid4()), key_ids, secrets))
        for _ in range(self._random.choice((0, 1, 2))):
            overlap = self._random.choice((Duration(), HOUR))
            await self._do(partial(self._rotate, str(uuid.uuid4()), key_ids[0], secrets, overlap))
        if self._random.random() < 0.5:
            await self._do(partial(self._revoke, key_ids[0], secrets))

    async def _do(self, operation: Operation) -> None:
        try:
            await operation()
        except grpc.aio.AioRpcError:
            self.unanswered.append(operation)
            raise
        async with self._progress:
            self.acknowledged += 1
            self._progress.notify_all()

    async def _issue(self, request_id: str, key_ids: list[str], secrets: list[str]) -> None:
        request = keys.IssueKeyRequest(
            workspace_id=self._workspace_id, name="crash", request_id=request_id
        )
        issued = await self._keys.IssueKey(request, metadata=self._token, timeout=TIMEOUT)
        key_ids.append(issued.key.id)
        secrets.append(issued.secret)
        self.allowed[issued.secret] = VALID

    async def _rotate(
        self, request_id: str, key_id: str, secrets: list[str], overlap: Duration
    ) -> None:
        # At most two live: the newest ends after the overlap, those before it at once.
        newest = secrets[-1]
        ending = secrets[:-1] + ([] if overlap.seconds else [newest])
        self._either(ending)
        request = keys.RotateKeyRequest(key_id=key_id, overlap=overlap, request_id=request_id)
        rotated = await self._keys.RotateKey(request, metadata=self._token, timeout=TIMEOUT)
        secrets.append(rotated.secret)
        self.allowed[rotated.secret] = VALID
        self._ended(ending, rotated.receipt.revision)

    async def _revoke(self, key_id: str, secrets: list[str]) -> None:
        self._either(secrets)
        request = keys.RevokeKeyRequest(key_id=key_id)
        revoked = await self._keys.RevokeKey(request, metadata=self._token, timeout=TIMEOUT)
        self._ended(secrets, revoked.receipt.revision)

    def _either(self, secrets: list[str]) -> None:
        for secret in secrets:
            self.allowed[secret] |= REVOKED

    def _ended(self, secrets: list[str], revision: int) -> None:
        self.revision = max(self.revision, revision)
        for secret in secrets:
            self.allowed[secret] = REVOKED

    async def _check_all(self) -> None:
        presented = list(self.allowed)
        for begin in range(0, len(presented), BATCH):
            batch = presented[begin : begin + BATCH]
            request = verification.BatchVerifyRequest(
                secrets=batch, at_least_revision=self.revision
            )
            reply = await self._verification.BatchVerify(
                request, metadata=self._token, timeout=TIMEOUT
            )
            for secret, result in zip(batch, reply.answers, strict=True):
                verdict = Verdict(result.verdict)
                assert verdict in self.allowed[secret]
                # Once seen it is settled: no later crash may change it.
                self.allowed[secret] = frozenset({verdict})
