"""Deny by default: every method against every kind of caller."""

from __future__ import annotations

from typing import Any, Final, cast

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor

from keyauthority.domain.callers import Role
from keyauthority.domain.secrets import TOKEN_PREFIX, mint
from keyauthority.rpc.services import SERVICES
from keyauthority.v1.caller_service_pb2 import RevokeCallerRequest
from tests.rpc.parts import TIMEOUT, Api, Authority, bearer, path_of, refusal

EVERYBODY: Final = frozenset(
    {"nobody", "noise", "mistyped", "unknown", "revoked", "verifier", "issuer", "admin"}
    | {"biller", "root"}
)
KNOWN: Final = frozenset({"verifier", "issuer", "admin", "biller", "root"})
ADMITTED: Final = {
    "keyauthority.v1.VerificationService": {"verifier", "root"},
    "keyauthority.v1.SpendingService": {"verifier", "root"},
    "keyauthority.v1.KeyService": {"issuer", "root"},
    "keyauthority.v1.WorkspaceService": {"admin", "root"},
    "keyauthority.v1.CallerService": {"admin", "root"},
    "keyauthority.v1.LedgerService": {"biller", "root"},
    "keyauthority.v1.AuditService": {"admin", "root"},
    "keyauthority.v1.OperationsService": {"admin", "root"},
    "keyauthority.v1.IdentityService": KNOWN,
    "envoy.service.auth.v3.Authorization": {"verifier", "root"},
    "grpc.health.v1.Health": EVERYBODY,
    "grpc.reflection.v1.ServerReflection": KNOWN,
    "grpc.reflection.v1alpha.ServerReflection": KNOWN,
}
"""Who may call which service."""


def every_method() -> list[MethodDescriptor]:
    return [method.contract for service in SERVICES for method in service.methods()]


def mistyped(token: str) -> str:
    return token[:-1] + ("0" if token[-1] != "0" else "1")


async def token_of(who: str, authority: Authority) -> str:
    tokens = {
        "nobody": "",
        "noise": "noise",
        "mistyped": mistyped(authority.root.token),
        "unknown": mint("caller_0123456789ABCDEF", TOKEN_PREFIX).reveal(),
        "root": authority.root.token,
    }
    if who in tokens:
        return tokens[who]
    caller = await authority.caller(*(Role if who == "revoked" else [Role[who.upper()]]))
    if who == "revoked":
        await authority.root(RevokeCallerRequest(caller_id=caller.caller_id))
    return caller.token


async def call(channel: grpc.aio.Channel, method: MethodDescriptor, metadata: Any) -> str:
    """Calls *method* with an empty request: `admitted`, or the status of who is not."""
    path, connection = path_of(method), cast("Any", channel)
    try:
        if method.client_streaming:
            await _first(connection.stream_stream(path)(iter([b""]), metadata=metadata))
        elif method.server_streaming:
            await _first(connection.unary_stream(path)(b"", metadata=metadata, timeout=TIMEOUT))
        else:
            await connection.unary_unary(path)(b"", metadata=metadata, timeout=TIMEOUT)
    except grpc.aio.AioRpcError as error:
        if error.code() in (
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.PERMISSION_DENIED,
            grpc.StatusCode.UNIMPLEMENTED,
            grpc.StatusCode.INTERNAL,
        ):
            return error.code().name
    return "admitted"


async def _first(stream: Any) -> None:
    await anext(aiter(stream))
    stream.cancel()


def expected(who: str, method: MethodDescriptor) -> str:
    if who in ADMITTED[method.containing_service.full_name]:
        return "admitted"
    return "PERMISSION_DENIED" if who in KNOWN else "UNAUTHENTICATED"


def test_every_service_is_in_the_table() -> None:
    """A service that is added is decided about here as well."""
    assert [one.name for one in SERVICES] == [*ADMITTED]


@pytest.mark.parametrize("who", sorted(EVERYBODY))
async def test_each_method_admits_whom_it_is_for_and_nobody_else(
    authority: Authority, who: str
) -> None:
    """No credential, a wrong one or another role: refused by every method but the open ones."""
    token = await token_of(who, authority)
    metadata = bearer(token) if token else ()
    outcomes = {
        path_of(method): await call(authority.root.channel, method, metadata)
        for method in every_method()
    }
    assert outcomes == {path_of(method): expected(who, method) for method in every_method()}


async def test_a_role_is_asked_for_by_name(authority: Authority) -> None:
    """The refusal names the role and the service, so that an operator knows what to grant."""
    verifier = await authority.caller(Role.VERIFIER)
    refused = await refusal(verifier(RevokeCallerRequest(caller_id="caller_1")))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.reason == "ROLE_MISSING"
    assert refused.metadata == {"role": "admin", "service": "keyauthority.v1.CallerService"}


@pytest.mark.parametrize(
    "values",
    [
        ("Basic {token}",),
        ("{token}",),
        ("Bearer",),
        ("Bearer ",),
        ("Bearer {token} ",),
        ("Bearer  {token}",),
        ("Bearer {token}", "Bearer {token}"),
        ("Bearer noise", "Bearer {token}"),
    ],
)
async def test_only_one_bearer_token_is_a_credential(
    authority: Authority, values: tuple[str, ...]
) -> None:
    """Another scheme, a second header or anything around the token is refused."""
    given = [("authorization", value.format(token=authority.root.token)) for value in values]
    stranger = Api(authority.root.channel)
    refused = await refusal(stranger(RevokeCallerRequest(caller_id="caller_1"), *given))
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert refused.reason == "CREDENTIAL_INVALID"
