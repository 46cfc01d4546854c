"""Who changes things, and who asks the authorities directly: a process in a namespace of its own.

    python -m tests.faults.changing ADDRESSES TLS_CA TOKEN_FILE SEED NEWS RECORDS

ADDRESSES are separated by commas. Commands are lines of JSON on standard input, each answered by one
on standard output: `issue`, `revoke` (of a key), `sessions`, `churn` (changes all the time, until told to `rest`).
New secrets go to the file NEWS for the clients. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from keyauthority import boottime
from keyauthority.client.channel import connect
from keyauthority.v1 import key_service_pb2 as keys
from keyauthority.v1 import operations_service_pb2 as operations
from keyauthority.v1 import verification_service_pb2 as verification
from keyauthority.v1 import workspace_service_pb2 as workspaces
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.operations_service_pb2_grpc import OperationsServiceStub
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub
from tests.faults.history import FRESH, Ask, Change, Kind, Minted, Outcome, Recorder

WORKERS = 4
KEYS = 6
"""Live keys that a worker has at a time, about."""

PAUSE = 0.1
"""Seconds between a worker's changes, on average."""

TRIES = 40
TIMEOUTS = (0.3, 1.5, 3.0)
"""Seconds that a caller waits: some are impatient, and never hear what became of their change."""

OUTCOMES = {
    verification.VERDICT_VALID: Outcome.ACCEPTED,
    verification.VERDICT_WORKSPACE_SUSPENDED: Outcome.SUSPENDED,
}


@dataclass(slots=True)
class Key:
    id: str
    workspace: str
    secret: int


@dataclass(slots=True)
class Authority:
    """One process, as whoever calls it sees it."""

    name: str
    keys: Any
    verification: Any
    workspaces: Any
    operations: Any


class Authorities:
    """Calls any of them, each time another one."""

    def __init__(self, addresses: list[str], tls_ca: Path | None, token: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.metadata = (("authorization", f"Bearer {token}"),)
        self._channels = [connect(address, tls_ca=tls_ca) for address in addresses]
        self._all = [
            Authority(
                f"authority {number}",
                KeyServiceStub(channel),
                VerificationServiceStub(channel),
                WorkspaceServiceStub(channel),
                OperationsServiceStub(channel),
            )
            for number, channel in enumerate(self._channels, 1)
        ]

    def any(self) -> Authority:
        return self.random.choice(self._all)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


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
        )
        key.secret = self._mint(key.id, key.workspace, rotated.secret)

    async def revoke(self, key: Key, tries: int = TRIES) -> Any:
        request = keys.RevokeKeyRequest(key_id=key.id)
        return await self._change(
            Kind.REVOKE,
            key.id,
            lambda authority, timeout: authority.keys.RevokeKey(request, **self._with(timeout)),
            tries,
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
        invoked = boottime.now()
        try:
            reply = await authority.verification.Verify(
                verification.VerifyRequest(secret=text, fresh=fresh), **self._with(1.0)
            )
            returned: float | None = boottime.now()
            outcome = OUTCOMES.get(reply.verdict, Outcome.REFUSED)
        except grpc.aio.AioRpcError:
            returned, outcome = None, Outcome.UNKNOWN
        place = FRESH if fresh else authority.name
        self.recorder.write(Ask(place, number, invoked, returned, outcome))

    async def sessions(self) -> list[str]:
        listed = await self._insist(
            lambda authority, timeout: authority.operations.ListSessions(
                operations.ListSessionsRequest(), **self._with(timeout)
            )
        )
        return [session.name for session in listed.sessions]

    async def _change(self, kind: Kind, target: str, call: Call, tries: int = TRIES) -> Any:
        # Every attempt is a change of its own: one that nobody heard of may yet be made.
        for _ in range(tries):
            invoked = boottime.now()
            returned = made = None
            try:
                answer = await call(self.authorities.any(), self._timeout())
                returned = made = boottime.now()
                return answer
            except grpc.aio.AioRpcError as error:
                made = boottime.now() if _is_spreading(error) else None
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

    def _mint(self, key_id: str, workspace: str, text: str, *, quiet: bool = False) -> int:
        self._minted += 1
        self.recorder.write(Minted(self._minted, key_id, workspace, boottime.now()))
        self.secrets.append((self._minted, text))
        line = {"secret": self._minted, "text": text, "quiet": quiet}
        with self.news.open("a") as news:
            news.write(json.dumps(line) + "\n")
        return self._minted

    def _timeout(self) -> float:
        return self.authorities.random.choice(TIMEOUTS)

    def _with(self, timeout: float) -> dict[str, Any]:
        return {"metadata": self.authorities.metadata, "timeout": timeout}


class Worker:
    """Keeps some keys alive, and ends one after the other."""

    def __init__(self, changing: Changing, chance: random.Random) -> None:
        self._changing = changing
        self._random = chance
        self._keys: list[Key] = []

    async def work(self) -> None:
        while True:
            # What cannot be done to a workspace must not hold up the others.
            with suppress(TimeoutError):
                workspace = await self._changing.workspace()
                self._keys = []
                while True:
                    await self._step(workspace)
                    await asyncio.sleep(self._random.expovariate(1 / PAUSE))

    async def _step(self, workspace: str) -> None:
        if len(self._keys) < KEYS:
            self._keys.append(await self._changing.issue(workspace))
            return
        what = self._random.random()
        key = self._random.choice(self._keys)
        if what < 0.6:
            self._keys.remove(key)
            # Some give up after the first attempt, and it holds all the same once it is made.
            with suppress(TimeoutError):
                await self._changing.revoke(key, self._random.choice((1, TRIES)))
        elif what < 0.85:
            await self._changing.rotate(key)
        else:
            await self._changing.suspend(workspace, Kind.SUSPEND)
            await asyncio.sleep(self._random.uniform(0.0, 0.5))
            await self._changing.suspend(workspace, Kind.RESUME)


class Commands:
    """What the test asks for."""

    def __init__(self, changing: Changing) -> None:
        self._changing = changing
        self._tasks: list[asyncio.Task[None]] = []
        self._keys: dict[str, Key] = {}
        self._workspace = ""

    async def issue(self, *, quiet: bool = False) -> dict[str, Any]:
        self._workspace = self._workspace or await self._changing.workspace()
        key = await self._changing.issue(self._workspace, quiet=quiet)
        self._keys[key.id] = key
        return {"key": key.id, "secret": key.secret}

    async def revoke(self, key: str) -> dict[str, Any]:
        answer: Message = (await self._changing.revoke(self._keys[key])).receipt
        return {"receipt": str(answer)}

    async def sessions(self) -> dict[str, Any]:
        """The names of all who may hold a lease."""
        return {"names": await self._changing.sessions()}

    async def churn(self) -> dict[str, Any]:
        chance = self._changing.authorities.random
        workers = [Worker(self._changing, chance) for _ in range(WORKERS)]
        self._tasks = [asyncio.create_task(worker.work()) for worker in workers]
        self._tasks.append(asyncio.create_task(self._verify_always()))
        return {}

    async def rest(self) -> dict[str, Any]:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        return {
            "failed": [repr(end) for end in ended if not isinstance(end, asyncio.CancelledError)]
        }

    async def _verify_always(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            if self._changing.secrets:
                await self._changing.verify()


def _is_spreading(error: grpc.aio.AioRpcError) -> bool:
    return any(
        name == "grpc-status-details-bin" and b"REVOCATION_SPREADING" in value
        for name, value in error.trailing_metadata()
    )


async def main(
    addresses: str, tls_ca: str, token_file: str, seed: str, news: str, records: str
) -> None:
    token = Path(token_file).read_text().strip()
    authorities = Authorities(addresses.split(","), Path(tls_ca), token, int(seed))
    recorder = Recorder(Path(records))
    commands = Commands(Changing(authorities, recorder, Path(news)))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        command = json.loads(line)
        answer = await getattr(commands, command.pop("do"))(**command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    await commands.rest()
    recorder.close()
    await authorities.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
