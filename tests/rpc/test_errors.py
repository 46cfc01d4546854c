"""What an error tells its caller, and what it keeps to itself."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from structlog.testing import capture_logs

from keyauthority.domain.callers import Actor, Role
from keyauthority.domain.errors import Reason
from keyauthority.domain.facts import Action
from keyauthority.domain.keys import KeyState, RevocationReason
from keyauthority.domain.peppers import PepperState
from keyauthority.domain.verdicts import Verdict
from keyauthority.rpc.errors import STATUS
from keyauthority.rpc.keys import KeyServicer
from keyauthority.rpc.reflection import ReflectionServicer
from keyauthority.rpc.service import Parts, Service
from keyauthority.rpc.services import SERVICES
from keyauthority.v1 import (
    audit_service_pb2,
    caller_service_pb2,
    key_pb2,
    operations_service_pb2,
    verification_service_pb2,
)
from keyauthority.v1.error_reason_pb2 import ErrorReason
from keyauthority.v1.key_service_pb2 import GetKeyRequest
from keyauthority.v1.wire import ERROR_DOMAIN
from tests.rpc.parts import TIMEOUT, Api, Authority, refusal, refusal_by

KEYS = "keyauthority.v1.KeyService"
HEALTH = "grpc.health.v1.Health"
OOPS = "sk-optk-what a traceback may hold"


def test_every_reason_has_a_status() -> None:
    """No fault of the domain can leave the wire without an answer."""
    assert STATUS.keys() == set(Reason)
    assert grpc.StatusCode.OK not in STATUS.values()


def test_reasons_are_those_of_the_contract() -> None:
    """The contract explains every reason, and explains none that is never sent."""
    explained = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118
    assert explained == {"UNSPECIFIED", *Reason.__members__}


@pytest.mark.parametrize(
    ("ours", "theirs", "prefix"),
    [
        (Verdict, verification_service_pb2.Verdict, "VERDICT_"),
        (KeyState, key_pb2.KeyState, "KEY_STATE_"),
        (RevocationReason, key_pb2.RevocationReason, "REVOCATION_REASON_"),
        (Role, caller_service_pb2.CallerRole, "CALLER_ROLE_"),
        (Action, audit_service_pb2.Action, "ACTION_"),
        (PepperState, operations_service_pb2.PepperState, "PEPPER_STATE_"),
    ],
)
def test_enums_have_the_numbers_of_the_contract(
    ours: type[enum.Enum], theirs: Any, prefix: str
) -> None:
    """Members are converted by their numbers alone."""
    numbers = {member.name: member.value for member in ours}
    contract = {name.removeprefix(prefix): number for name, number in theirs.items()}
    assert {"UNSPECIFIED": 0, **numbers} == contract


async def test_an_error_says_why_for_machines(root: Api) -> None:
    """Every error carries its reason, its domain and what it is about (AIP-193)."""
    refused = await refusal(root(GetKeyRequest(key_id="key_nowhere")))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert refused.reason == "KEY_NOT_FOUND"
    assert refused.domain == ERROR_DOMAIN == "keyauthority.opentoken.kr"
    assert refused.metadata == {"key_id": "key_nowhere"}
    assert refused.message == "no such key"


async def test_the_callers_request_id_comes_back(root: Api) -> None:
    """A caller finds its own id in the error, to look it up in its own logs."""
    call = root(GetKeyRequest(key_id="key_nowhere"), ("x-request-id", "a1-b2/c3"))
    assert (await refusal(call)).request_id == "a1-b2/c3"


@pytest.mark.parametrize("given", ["", "x" * 65, "two words"])
async def test_an_odd_request_id_is_replaced(root: Api, given: str) -> None:
    """What could confuse a log line is not echoed: a fresh id takes its place."""
    refused = await refusal(root(GetKeyRequest(key_id="key_nowhere"), ("x-request-id", given)))
    assert len(refused.request_id) == 16
    assert refused.request_id != given


async def test_a_call_without_request_id_is_given_one_of_its_own(root: Api) -> None:
    """Each call can be told from every other in the log."""
    ids = {(await refusal(root(GetKeyRequest()))).request_id for _ in range(5)}
    assert len(ids) == 5


class Broken(KeyServicer, ReflectionServicer):
    """Has a fault of ours in a method that answers once, and in a stream."""

    def __init__(self, parts: Parts) -> None:
        KeyServicer.__init__(self, parts)
        ReflectionServicer.__init__(self, parts)

    async def GetKey(self, request: GetKeyRequest, actor: Actor) -> Any:
        raise RuntimeError(OOPS)

    def _list_services(self, request: Any) -> Any:
        raise RuntimeError(OOPS)


class TestAFaultOfOurs:
    @pytest.fixture
    def services(self) -> Sequence[Service]:
        broken = ("keyauthority.v1.KeyService", "grpc.reflection.v1alpha.ServerReflection")
        return [replace(one, servicer=Broken) if one.name in broken else one for one in SERVICES]

    async def test_is_not_shown(self, root: Api) -> None:
        """An exception's text may hold anything: the caller learns the request id, the log the rest."""
        with capture_logs() as logged:
            refused = await refusal(root(GetKeyRequest(key_id="key_1"), ("x-request-id", "mine")))
        assert (refused.code, refused.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert refused.message == "internal error"
        assert refused.request_id == refused.metadata["request_id"] == "mine"
        [line] = [line for line in logged if line["log_level"] == "error"]
        assert (line["event"], line["request_id"]) == ("internal_error", "mine")

    async def test_is_not_shown_in_a_stream(self, authority: Authority) -> None:
        """Streams keep to the same rule as single answers."""
        channel: Any = authority.root.channel
        stream = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=ServerReflectionRequest.SerializeToString,
        )(
            iter([ServerReflectionRequest(list_services="*")]),
            metadata=authority.root.metadata,
            timeout=TIMEOUT,
        )
        with capture_logs(), pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(stream))
        refused = refusal_by(caught.value)
        assert refused.code is grpc.StatusCode.INTERNAL
        assert refused.message == "internal error"
        assert OOPS not in (caught.value.debug_error_string() or "")


async def test_a_message_beyond_all_limits_is_not_read(root: Api) -> None:
    """Whoever sends megabytes is refused before they are taken apart."""
    call = root(GetKeyRequest(key_id="x" * (9 << 20)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_metadata_beyond_all_limits_is_not_read(root: Api) -> None:
    """Metadata is bounded, and the connection survives the attempt."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await root(GetKeyRequest(), ("x-request-id", "x" * (40 << 10)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await refusal(root(GetKeyRequest()))).reason == "KEY_NOT_FOUND"


@pytest.mark.parametrize("path", [f"/{KEYS}/GetKey", f"/{KEYS}/IssueKey", f"/{HEALTH}/Check"])
async def test_bytes_that_are_no_request_are_the_callers_fault(
    authority: Authority, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Noise instead of a message is refused with a reason, and leaves no traceback in the log."""
    method: Any = authority.root.channel.unary_unary(path)
    with capture_logs() as logged:
        refused = await refusal(method(b"\xff\xff\xff", metadata=authority.root.metadata))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.reason, refused.metadata) == ("FIELD_INVALID", {"field": "request"})
    assert not [line for line in logged if line["log_level"] == "error"]
    assert not caplog.records


async def test_noise_on_a_stream_is_the_callers_fault(authority: Authority) -> None:
    """A method that answers with a stream reads its request just as carefully."""
    channel: Any = authority.root.channel
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(channel.unary_stream(f"/{HEALTH}/Watch")(b"\xff\xff\xff")))
    assert refusal_by(caught.value).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_strangers_are_refused_before_their_request_is_read(authority: Authority) -> None:
    """Without a credential not even noise is told from a request."""
    get_key: Any = authority.root.channel.unary_unary(f"/{KEYS}/GetKey")
    assert (await refusal(get_key(b"\xff\xff\xff"))).reason == "CREDENTIAL_MISSING"
