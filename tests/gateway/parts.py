"""The neighbours of a gateway under test: an authority, an upstream, and clients of raw bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from typing import Any

import grpc
from aiohttp import web
from google.protobuf.duration_pb2 import Duration

from gateway.config import Limits, Settings, Timeouts
from keyauthority.domain import secrets
from keyauthority.v1 import verification_service_pb2 as pb
from keyauthority.v1.verification_service_pb2_grpc import (
    VerificationServiceServicer,
    add_VerificationServiceServicer_to_server,
)

TOKEN = "optk-svc-" + "t" * 30

VERIFY_TIMEOUT = 2.0
"""Seconds that a verdict may take: more than by default, as the machine is busy with other tests."""


def settings_of(**options: Any) -> Settings:
    """A gateway's settings, all by their own names; it listens at any free port."""
    options = {"verify_timeout": VERIFY_TIMEOUT, **options}
    limits = {limit.name for limit in fields(Limits)}
    timeouts = {timeout.name for timeout in fields(Timeouts)}
    settings: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "limits": Limits(**{k: options.pop(k) for k in limits & options.keys()}),
        "timeouts": Timeouts(**{k: options.pop(k) for k in timeouts & options.keys()}),
    }
    return Settings(**settings | options)


def new_secret() -> str:
    return secrets.mint(secrets.new_id("key")).reveal()


def valid_reply(*scopes: str, cache_for: float = 60) -> pb.VerifyResponse:
    key = pb.VerifiedKey(id="key_1", workspace_id="ws_1", name="one", scopes=scopes)
    return reply(pb.VERDICT_VALID, key, cache_for)


def reply(
    verdict: pb.Verdict.ValueType, key: pb.VerifiedKey | None = None, cache_for: float = 60
) -> pb.VerifyResponse:
    nanos = round(cache_for * 1e9)
    lasting = Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
    return pb.VerifyResponse(verdict=verdict, key=key, epoch=1, revision=1, cache_for=lasting)


Answer = Callable[[pb.VerifyRequest], Awaitable[pb.VerifyResponse]]


class Explosive(str):
    """A scope that fails whoever looks for it among those of a key, with its own text."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError(str(self))


class RecordingAuthority(VerificationServiceServicer):
    """Answers `Verify` as told, secret by secret, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, pb.VerifyResponse] = {}
        self.asked: list[pb.VerifyRequest] = []
        # How many secrets each call about several of them had.
        self.batches: list[int] = []
        self.was_asked = asyncio.Event()
        # What the verifiers that joined call themselves.
        self.joined: asyncio.Queue[str] = asyncio.Queue()
        self.tokens: list[str] = []
        # Replaces the answers when set: for authorities that hang or fail.
        self.misbehave: Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[None]] | None = (
            None
        )
        self.address = ""
        # What changed, by revision: Sync tells it, and holds its reply back until there is more.
        self.changes: dict[int, tuple[str, ...]] = {}
        self.revision = 1
        # Whether Sync says that everything may have changed.
        self.reset = False
        self._changed = asyncio.Condition()

    async def change(self, *subjects: str) -> None:
        """Make all verifiers forget what they know of *subjects*."""
        async with self._changed:
            self.revision += 1
            self.changes[self.revision] = subjects
            self._changed.notify_all()

    async def until_asked(self, times: int) -> None:
        while len(self.asked) < times:
            self.was_asked.clear()
            await self.was_asked.wait()

    def issue(self, answer: pb.VerifyResponse | None = None) -> str:
        secret = new_secret()
        self.answers[secret] = answer or valid_reply()
        return secret

    async def Verify(
        self, request: pb.VerifyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.VerifyResponse:
        self.asked.append(request)
        self.was_asked.set()
        metadata = dict(context.invocation_metadata() or ())
        self.tokens.append(str(metadata.get("authorization")))
        if self.misbehave is not None:
            await self.misbehave(context)
        answer = pb.VerifyResponse()
        answer.CopyFrom(self.answers.get(request.secret, reply(pb.VERDICT_UNKNOWN)))
        answer.revision = self.revision
        return answer

    async def Sync(
        self, request: pb.SyncRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.SyncResponse:
        if not request.session_id:
            self.joined.put_nowait(request.name)
        else:
            async with self._changed:
                with suppress(TimeoutError):
                    async with asyncio.timeout(request.wait.ToTimedelta().total_seconds()):
                        await self._changed.wait_for(lambda: self.revision > request.revision)
        news = (subjects for at, subjects in self.changes.items() if at > request.revision)
        return pb.SyncResponse(
            session_id=request.session_id or secrets.new_id("session"),
            epoch=1,
            revision=self.revision,
            lease=Duration(seconds=3),
            reset=self.reset or request.epoch != 1,
            subjects=[subject for subjects in news for subject in subjects],
        )

    async def Leave(
        self, request: pb.LeaveRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.LeaveResponse:
        return pb.LeaveResponse()

    async def RevokePresented(
        self, request: pb.RevokePresentedRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.RevokePresentedResponse:
        raise NotImplementedError

    async def BatchVerify(
        self, request: pb.BatchVerifyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.BatchVerifyResponse:
        # Each is remembered as if it had been asked alone.
        self.batches.append(len(request.secrets))
        alone = [
            pb.VerifyRequest(
                secret=secret, at_least_revision=request.at_least_revision, fresh=request.fresh
            )
            for secret in request.secrets
        ]
        answers = await asyncio.gather(*(self.Verify(one, context) for one in alone))
        return pb.BatchVerifyResponse(answers=answers)


@asynccontextmanager
async def serving(
    authority: RecordingAuthority,
    credentials: grpc.ServerCredentials | None = None,
    address: str = "127.0.0.1:0",
) -> AsyncIterator[RecordingAuthority]:
    server = grpc.aio.server()
    add_VerificationServiceServicer_to_server(authority, server)
    if credentials is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, credentials)
    await server.start()
    authority.address = f"127.0.0.1:{port}"
    try:
        yield authority
    finally:
        await server.stop(None)


@dataclass
class Received:
    """A request as the upstream got it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> list[str]:
        return [value for field, value in self.headers if field == name]


@dataclass
class FakeUpstream:
    """The far upstream: answers as `respond` says and remembers the requests."""

    received: list[Received] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    respond: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = [(name.decode().lower(), value.decode()) for name, value in request.raw_headers]
        received = Received(request.method, request.raw_path, headers)
        self.received.append(received)
        self.reached.set()
        try:
            if self.respond is not None:
                return await self.respond(request)
            received.body = await request.read()
            return web.json_response({"object": "fake"})
        except asyncio.CancelledError:
            self.gone.set()
            raise


@asynccontextmanager
async def upstream_serving() -> AsyncIterator[FakeUpstream]:
    upstream = FakeUpstream()
    server = web.Server(upstream.handle, handler_cancellation=True, auto_decompress=False)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        listener.close()
        await server.shutdown(0.1)


@dataclass
class Answered:
    """A response as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for field, value in self.headers if field == name]

    @property
    def error(self) -> dict[str, str]:
        error: dict[str, str] = json.loads(self.body)["error"]
        return error


def parse(raw: bytes) -> Answered:
    """Read one response; the body is the rest, chunk framing included."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = [line.partition(": ") for line in lines]
    return Answered(int(status.split()[1]), [(n.lower(), v) for n, _, v in fields], body)


async def exchange(port: int, *pieces: bytes, pause: float = 0.02) -> bytes:
    """Send *pieces* over one connection and return all that comes back until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def head(*fields: str, target: str = "/v1/models", method: str = "GET") -> bytes:
    """A request head, closing the connection."""
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway", "Connection: close", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
