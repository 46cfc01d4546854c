"""Changing keys and workspaces through any authority that answers, and writing down what was told."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask

from keyauthority.base.process import clocks
from keyauthority.v1 import caller_service_pb2 as callers
from keyauthority.v1 import key_service_pb2 as keys
from keyauthority.v1 import operations_service_pb2 as operations
from keyauthority.v1 import verification_service_pb2 as verification
from keyauthority.v1 import workspace_service_pb2 as workspaces
from tests.faults.authorities import Authorities, Authority
from tests.faults.history import FRESH, Ask, Change, Kind, Minted, Outcome, Recorder

TRIES = 40
TIMEOUTS = (0.3, 1.5, 3.0)
"""Seconds that a caller waits: some are impatient, and never hear what became of their change."""

OUTCOMES = {
    verification.VERDICT_VALID: Outcome.ACCEPTED,
    verification.VERDICT_WORKSPACE_SUSPENDED: Outcome.SUSPENDED,
}

DENIALS = frozenset(
    {
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
    }
)
"""What nobody may be told of a key that exists, or of a caller who may do everything."""


@dataclass(slots=True)
class Key:
    id: str
    workspace: str
    secret: int


Call = Callable[[Authority, float], Awaitable[Any]]


@dataclass(slots=True)
class Changing:
    """Makes changes and writes down what it was told of each."""

    authorities: Authorities
    recorder: Recorder
    news: Path
    secrets: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=60))
    _minted: int = 0

    async def workspace(self) -> str:
        created = await self._insist(
            lambda authority, timeout: authority.workspaces.CreateWorkspace(
                workspaces.CreateWorkspaceRequest(name="faults"), **self._with(timeout)
            )
        )
        return str(created.workspace.id)

    async def issue(self, workspace: str, *, quiet: bool = False) -> Key:
        request = keys.IssueKeyRequest(
            workspace_id=workspace, name="faults", request_id=str(uuid.uuid4())
        )
        issued = await self._insist(
            lambda authority, timeout: authority.keys.IssueKey(request, **self._with(timeout))
        )
        number = self._mint(issued.key.id, workspace, issued.secret, quiet=quiet)
        return Key(issued.key.id, workspace, number)

    async def rotate(self, key: Key) -> None:
        """Gives the key a new secret, and ends the one before at once."""
        request = keys.RotateKeyRequest(key_id=key.id, request_id=str(uuid.uuid4()))
        rotated = await self._change(
            Kind.RETIRE,
            str(key.secret),
            lambda authority, timeout: authority.keys.RotateKey(request, **self._with(timeout)),
            secret=key.secret,
        )
        key.secret = self._mint(key.id, key.workspace, rotated.secret)

    async def revoke(self, key: Key, tries: int = TRIES) -> Any:
        request = keys.RevokeKeyRequest(key_id=key.id)
        return await self._change(
            Kind.REVOKE,
            key.id,
            lambda authority, timeout: authority.keys.RevokeKey(request, **self._with(timeout)),
            tries,
            secret=key.secret,
        )

    async def suspend(self, workspace: str, kind: Kind) -> None:
        request = workspaces.UpdateWorkspaceRequest(
            workspace=workspaces.Workspace(id=workspace, suspended=kind is Kind.SUSPEND),
            update_mask=FieldMask(paths=["suspended"]),
        )
        await self._change(
            kind,
            workspace,
            lambda authority, timeout: authority.workspaces.UpdateWorkspace(
                request, **self._with(timeout)
            ),
        )

    async def verify(self) -> None:
        """Asks one authority directly about some secret, for the truth or for what it knows."""
        authority = self.authorities.any()
        fresh = self.authorities.random.random() < 0.7
        number, text = self.authorities.random.choice(self.secrets)
        invoked = clocks.boottime()
        try:
            reply = await authority.verification.Verify(
                verification.VerifyRequest(secret=text, fresh=fresh), **self._with(1.0)
            )
            returned: float | None = clocks.boottime()
            outcome = OUTCOMES.get(reply.verdict, Outcome.REFUSED)
        except grpc.aio.AioRpcError:
            returned, outcome = None, Outcome.UNKNOWN
        place = FRESH if fresh else authority.name
        self.recorder.write(Ask(place, number, invoked, returned, outcome))

    async def introduce(self, key: Key) -> None:
        """Has a new caller ask every authority about the key, which all of them may tell, or none."""
        request = callers.CreateCallerRequest(
            name=f"caller {uuid.uuid4()}", roles=[callers.CALLER_ROLE_ISSUER]
        )
        created = await self._insist(
            lambda authority, timeout: authority.callers.CreateCaller(
                request, **self._with(timeout)
            )
        )
        metadata = (("authorization", f"Bearer {created.token}"),)
        for authority in self.authorities.all:
            invoked = clocks.boottime()
            try:
                await authority.keys.GetKey(
                    keys.GetKeyRequest(key_id=key.id), metadata=metadata, timeout=max(TIMEOUTS)
                )
            except grpc.aio.AioRpcError as error:
                if error.code() in DENIALS:
                    self._denied(authority, key.secret, invoked)

    async def sessions(self) -> list[str]:
        listed = await self._insist(
            lambda authority, timeout: authority.operations.ListSessions(
                operations.ListSessionsRequest(), **self._with(timeout)
            )
        )
        return [session.name for session in listed.sessions]

    async def _change(
        self, kind: Kind, target: str, call: Call, tries: int = TRIES, secret: int | None = None
    ) -> Any:
        # Every attempt is a change of its own: one that nobody heard of may yet be made.
        for _ in range(tries):
            invoked, authority = clocks.boottime(), self.authorities.any()
            returned = made = None
            try:
                answer = await call(authority, self._timeout())
                returned = made = clocks.boottime()
                return answer
            except grpc.aio.AioRpcError as error:
                made = clocks.boottime() if _is_spreading(error) else None
                if secret is not None and error.code() in DENIALS:
                    self._denied(authority, secret, invoked)
            finally:
                self.recorder.write(Change(kind, target, invoked, returned, made))
            await asyncio.sleep(0.1)
        raise TimeoutError(f"nobody could {kind} {target}")

    async def _insist(self, call: Call) -> Any:
        for _ in range(TRIES):
            try:
                return await call(self.authorities.any(), self._timeout())
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.1)
        raise TimeoutError("nobody could do it")

    def _denied(self, authority: Authority, secret: int, invoked: float) -> None:
        # The key exists, and the caller may do everything: nothing explains that.
        denial = Ask(authority.name, secret, invoked, clocks.boottime(), Outcome.UNEXPECTED)
        self.recorder.write(denial)

    def _mint(self, key_id: str, workspace: str, text: str, *, quiet: bool = False) -> int:
        self._minted += 1
        self.recorder.write(Minted(self._minted, key_id, workspace, clocks.boottime()))
        self.secrets.append((self._minted, text))
        line = {"secret": self._minted, "text": text, "quiet": quiet}
        with self.news.open("a") as news:
            news.write(json.dumps(line) + "\n")
        return self._minted

    def _timeout(self) -> float:
        return self.authorities.random.choice(TIMEOUTS)

    def _with(self, timeout: float) -> dict[str, Any]:
        return {"metadata": self.authorities.metadata, "timeout": timeout}


def _is_spreading(error: grpc.aio.AioRpcError) -> bool:
    return any(
        name == "grpc-status-details-bin" and b"REVOCATION_SPREADING" in value
        for name, value in error.trailing_metadata()
    )
