"""The authority over the wire: an installation, its callers, and what its refusals say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry

from keyauthority.base.process.clocks import SystemClock, boottime
from keyauthority.config import Settings
from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.callers import Role, operator
from keyauthority.domain.leasing import Leasing
from keyauthority.rpc.service import Service
from keyauthority.rpc.services import SERVICES
from keyauthority.storage.sqlite.opening import open_sqlite
from keyauthority.v1 import (
    audit_service_pb2,
    caller_service_pb2,
    identity_service_pb2,
    key_service_pb2,
    ledger_service_pb2,
    operations_service_pb2,
    spending_service_pb2,
    verification_service_pb2,
    workspace_service_pb2,
)
from keyauthority.v1.caller_service_pb2 import CreateCallerRequest, CreateCallerResponse
from keyauthority.v1.key_service_pb2 import IssueKeyRequest, IssueKeyResponse
from keyauthority.v1.verification_service_pb2 import Verdict, VerifyRequest
from keyauthority.v1.workspace_service_pb2 import CreateWorkspaceRequest

CONTRACTS: Final = (
    audit_service_pb2,
    caller_service_pb2,
    identity_service_pb2,
    key_service_pb2,
    ledger_service_pb2,
    operations_service_pb2,
    spending_service_pb2,
    verification_service_pb2,
    workspace_service_pb2,
)

METHODS: Final[dict[str, MethodDescriptor]] = {
    method.input_type.name: method
    for contract in CONTRACTS
    for service in contract.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Our methods, by the names of their requests: each has a request of its own."""

TIMEOUT: Final = 20.0

_numbers = count(1)


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


class Api:
    """The authority as one caller sees it: called with a request, it answers."""

    def __init__(self, channel: grpc.aio.Channel, token: str = "", caller_id: str = "") -> None:
        self.channel = channel
        self.token = token
        self.caller_id = caller_id
        self.metadata = bearer(token) if token else ()

    def __call__(
        self, request: Message, *more: tuple[str, str | bytes], timeout: float = TIMEOUT
    ) -> Any:
        """Starts the call; *more* is metadata besides the credential."""
        method = METHODS[type(request).__name__]
        multicallable: Any = self.channel.unary_unary(
            path_of(method),
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return multicallable(request, metadata=(*self.metadata, *more), timeout=timeout)


@dataclass(frozen=True)
class Authority:
    """A running installation, and its root."""

    settings: Settings
    port: int
    root: Api

    async def workspace(self, name: str = "acme") -> str:
        created = await self.root(CreateWorkspaceRequest(name=name))
        workspace_id: str = created.workspace.id
        return workspace_id

    async def caller(self, *roles: Role, **fields: Any) -> Api:
        numbers: list[Any] = [role.value for role in roles]
        created: CreateCallerResponse = await self.root(
            CreateCallerRequest(name=f"caller {next(_numbers)}", roles=numbers, **fields)
        )
        return Api(self.root.channel, created.token, created.caller.id)


@dataclass(frozen=True)
class Refusal:
    """What an error said."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: Mapping[str, str]
    domain: str
    request_id: str


async def refusal(call: Awaitable[Any]) -> Refusal:
    """How *call* is refused: it must be, and say why in a `google.rpc.ErrorInfo`."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal_by(caught.value)


async def reason(call: Awaitable[Any]) -> str:
    """The reason that *call* is refused for."""
    return (await refusal(call)).reason


def refusal_by(error: grpc.aio.AioRpcError) -> Refusal:
    trailing: Any = error.trailing_metadata()
    [request_id] = [value for key, value in trailing if key == "x-request-id"]
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]  # has what it looks at
    info = ErrorInfo()
    [detail] = status.details
    assert detail.Unpack(info)
    assert status.code == error.code().value[0]
    return Refusal(
        error.code(), info.reason, error.details() or "", info.metadata, info.domain, request_id
    )


@contextmanager
def invalid_field(field: str) -> Iterator[None]:
    """What is called inside must be refused since *field* breaks a limit."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    refused = refusal_by(caught.value)
    assert (refused.reason, refused.metadata.get("field")) == ("FIELD_INVALID", field)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.message.startswith(field)


async def issue(
    api: Api, workspace_id: str, name: str = "a key", **fields: Any
) -> IssueKeyResponse:
    request = IssueKeyRequest(workspace_id=workspace_id, name=name, **fields)
    response: IssueKeyResponse = await api(request)
    return response


async def verdict(api: Api, secret: str, *, fresh: bool = False) -> str:
    """For instance `VALID`. *fresh*: from the books, for tests that put the clock forward."""
    answer = await api(VerifyRequest(secret=secret, fresh=fresh))
    return Verdict.Name(answer.verdict).removeprefix("VERDICT_")


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Waits until *true* says so."""
    async with asyncio.timeout(TIMEOUT):
        while not await true():  # noqa: ASYNC110  # what it asks can't wake us
            await asyncio.sleep(0.01)


async def until_counted(registry: CollectorRegistry, name: str, number: int, **labels: str) -> None:
    """Waits until the authority's metric *name* is *number*."""

    async def is_counted() -> bool:
        return registry.get_sample_value(f"keyauthority_{name}", labels) == number

    await eventually(is_counted)


async def until_cancelled(registry: CollectorRegistry, method: str) -> None:
    """Waits until the authority knows that the caller of a call of *method* has left."""
    await until_counted(registry, "calls_total", 1, method=method, code="CANCELLED")


class Gate:
    """What some calls go through: they wait while it is closed."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._open = asyncio.Event()
        self.open()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.clear()

    async def go_through(self) -> None:
        self.reached.set()
        await self._open.wait()


class LeaseClock:
    """The machine's clock of leases, which a test may put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return boottime() + self.ahead

    def begin_minute(self) -> None:
        """Puts it forward to the beginning of one."""
        self.ahead += -self() % 60


def service(name: str) -> Service:
    """The descriptor of one of our services, such as `KeyService`."""
    [descriptor] = [one for one in SERVICES if one.name == f"keyauthority.v1.{name}"]
    return descriptor


def services_with(*changed: Service) -> tuple[Service, ...]:
    """The services of any installation, with *changed* in place of those of the same names."""
    by_name = {one.name: one for one in changed}
    return tuple(by_name.pop(one.name, one) for one in SERVICES)


def settings_in(folder: Path, **fields: Any) -> Settings:
    settings: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "data_dir": folder,
        "database": folder / "keyauthority.db",
        "keyring": folder / "keyring.json",
    }
    return Settings(**{**settings, **fields})


def file_of(settings: Settings) -> Path:
    """The SQLite file of an installation."""
    assert isinstance(settings.database, Path)
    return settings.database


async def set_lease(settings: Settings, length: timedelta) -> None:
    """Has leases last *length* in an installation that doesn't run, and none longer be out."""
    async with open_sqlite(file_of(settings), SystemClock()) as store:
        leasing, who = Leasing(Books(store, Unfenced())), operator("db lease")
        terms = await leasing.set(who, length)
        await leasing.forget_longer(who, terms)
