"""An authority that says what the script wants, and holds every call until then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, NoReturn, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from keyauthority.domain import secrets
from keyauthority.v1.verification_service_pb2 import (
    BatchVerifyRequest,
    BatchVerifyResponse,
    LeaveRequest,
    LeaveResponse,
    RevokePresentedRequest,
    SyncRequest,
    SyncResponse,
    Verdict,
    VerifiedKey,
    VerifyRequest,
    VerifyResponse,
)
from keyauthority.v1.verification_service_pb2_grpc import (
    VerificationServiceServicer,
    add_VerificationServiceServicer_to_server,
)
from keyauthority.v1.wire import AUTHORIZATION, ERROR_DETAILS, ERROR_DOMAIN
from keyauthority.verifier_check.news import News
from keyauthority.verifier_check.steps import SECRETS, Grant, RefuseCall, RefuseSync, Reply

Request = TypeVar("Request")
Question = VerifyRequest | BatchVerifyRequest
Context = grpc.aio.ServicerContext[Any, Any]

ROLE_MISSING: Final = RefuseSync("PERMISSION_DENIED", "ROLE_MISSING")


class Call(Generic[Request]):
    """A call that waits for its answer: a message of the service, or how it is refused."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Cast:
    """The secrets, keys and workspaces that the names of a script stand for, minted for one check."""

    def __init__(self) -> None:
        self.ids: Mapping[str, str] = {
            "A": secrets.new_id("key"),
            "B": secrets.new_id("key"),
            "F": secrets.new_id("key"),
            "W": secrets.new_id("ws"),
        }
        self.secrets: Mapping[str, str] = {
            name: self._foreign() if name == "foreign" else self._mint(held.key)
            for name, held in SECRETS.items()
        }
        self._names = {secret: name for name, secret in self.secrets.items()}

    def key_of(self, secret: str) -> VerifiedKey:
        """Returns the key of a presented *secret*; one without an id if it is none of the script's."""
        name = self.name_of(secret)
        if name not in SECRETS:
            return VerifiedKey()
        held = SECRETS[name]
        key_id, workspace_id = self.ids[held.key], self.ids[held.workspace]
        return VerifiedKey(id=key_id, workspace_id=workspace_id, name=name)

    def name_of(self, secret: str) -> str:
        """Returns the name of a presented *secret*; empty if it is none of the script's."""
        return self._names.get(secret, "")

    def _mint(self, key: str) -> str:
        return secrets.mint(self.ids[key]).reveal()

    def _foreign(self) -> str:
        return "imported-" + secrets.new_id("key").removeprefix("key_")


class ScriptedAuthority(VerificationServiceServicer):
    """Holds the calls of one verifier until the script answers them.

    Args:
        token: The token that each call has to carry.
        news: Told of every call that comes, or is given up.
    """

    def __init__(self, token: str, news: News) -> None:
        self.cast = Cast()
        self.syncs: list[Call[SyncRequest]] = []
        self.questions: list[Call[Question]] = []
        self.session_id = ""
        """The session that was granted last."""
        self.left: list[str] = []
        """The sessions that were ended."""
        self.strange = 0
        """Calls without the token."""
        self._token = token
        self._news = news

    async def Sync(self, request: SyncRequest, context: Context) -> SyncResponse:  # noqa: N802  # gRPC's
        response: SyncResponse = await self._held(self.syncs, request, context)
        return response

    async def Verify(self, request: VerifyRequest, context: Context) -> VerifyResponse:  # noqa: N802
        reply: Reply = await self._held(self.questions, request, context)
        return self._verification(request.secret, reply)

    async def BatchVerify(  # noqa: N802
        self, request: BatchVerifyRequest, context: Context
    ) -> BatchVerifyResponse:
        reply: Reply = await self._held(self.questions, request, context)
        answers = [self._verification(secret, reply) for secret in request.secrets]
        return BatchVerifyResponse(answers=answers)

    async def Leave(self, request: LeaveRequest, context: Context) -> LeaveResponse:  # noqa: N802
        self.left.append(request.session_id)
        self._news.tell()
        return LeaveResponse()

    async def RevokePresented(  # noqa: N802
        self, request: RevokePresentedRequest, context: Context
    ) -> NoReturn:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "a check revokes nothing")

    def granted(self, call: Call[SyncRequest], grant: Grant) -> None:
        """Answers *call* by *grant*; a call that joins gets a new session."""
        self.session_id = call.request.session_id or secrets.new_id("session")
        call.answer.set_result(
            SyncResponse(
                session_id=self.session_id,
                epoch=grant.epoch,
                revision=grant.revision,
                lease=_duration(grant.lease),
                reset=grant.reset,
                subjects=[self.cast.ids[name] for name in grant.subjects],
                foreign_secrets=grant.foreign_secrets,
            )
        )

    def newest_sync(self) -> Call[SyncRequest] | None:
        """Returns the Sync that waits, if there is one: the newest, since a verifier may give one up."""
        return next((call for call in reversed(self.syncs) if not call.answer.done()), None)

    def question_about(self, secret: str) -> Call[Question] | None:
        """Returns a call about the secret of that name that waits, if there is one."""
        presented = self.cast.secrets[secret]
        waiting = (call for call in self.questions if not call.answer.done())
        return next((call for call in waiting if presented in secrets_of(call)), None)

    async def _held(self, calls: list[Call[Any]], request: Any, context: Context) -> Any:
        metadata = dict(context.invocation_metadata() or ())
        if metadata.get(AUTHORIZATION) != f"Bearer {self._token}":
            self.strange += 1
            self._news.tell()
            await _refuse(context, ROLE_MISSING)
        call = Call(request)
        calls.append(call)
        self._news.tell()
        try:
            answer = await call.answer
        finally:
            if call in calls:
                calls.remove(call)
            self._news.tell()
        if isinstance(answer, (RefuseSync, RefuseCall)):
            await _refuse(context, answer)
        return answer

    def _verification(self, secret: str, reply: Reply) -> VerifyResponse:
        key = self.cast.key_of(secret)
        verdict = reply.verdicts.get(self.cast.name_of(secret), reply.verdict)
        return VerifyResponse(
            verdict=Verdict.Value(f"VERDICT_{verdict}"),
            key=None if verdict == "UNKNOWN" else key,
            epoch=reply.epoch,
            revision=reply.revision,
            cache_for=_duration(reply.cache_for),
            key_revoked=reply.key_revoked,
        )


def secrets_of(call: Call[Question]) -> list[str]:
    """Returns the secrets that *call* asks about."""
    request = call.request
    return [request.secret] if isinstance(request, VerifyRequest) else list(request.secrets)


@asynccontextmanager
async def serving(authority: ScriptedAuthority) -> AsyncIterator[str]:
    """Serves *authority* on a free port of this machine; yields the address."""
    server = grpc.aio.server()
    add_VerificationServiceServicer_to_server(authority, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def _refuse(context: Context, refusal: RefuseSync | RefuseCall) -> NoReturn:
    code = grpc.StatusCode[refusal.status]
    packed = Packed()
    packed.Pack(ErrorInfo(reason=refusal.reason, domain=ERROR_DOMAIN))
    status = Status(code=code.value[0], message="as the check wants", details=[packed])
    details = ((ERROR_DETAILS, status.SerializeToString()),)
    await context.abort(code, status.message, details)


def _duration(seconds: float) -> Duration:
    nanos = round(seconds * 1e9)
    return Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
