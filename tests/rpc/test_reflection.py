"""Reflection, v1 and v1alpha: enough for grpcurl to call every method without a file."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from keyauthority.rpc.services import SERVICES
from tests.rpc.parts import TIMEOUT, Api

NAMES = [one.name for one in SERVICES if one.is_described]
VERSIONS = [f"grpc.reflection.{version}.ServerReflection" for version in ("v1", "v1alpha")]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def ask(api: Api, version: str, *requests: ServerReflectionRequest) -> list[Any]:
    channel: Any = api.channel
    reflect = channel.stream_stream(
        f"/{version}/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )
    stream = reflect(iter(requests), metadata=api.metadata, timeout=TIMEOUT)
    return [response async for response in stream]


async def described(api: Api, version: str, symbol: str) -> DescriptorPool:
    """All that is needed to understand *symbol*, from the server alone."""
    pool = DescriptorPool()
    request = ServerReflectionRequest(file_containing_symbol=symbol)
    await _add(pool, api, version, request, set())
    return pool


async def _add(
    pool: DescriptorPool,
    api: Api,
    version: str,
    request: ServerReflectionRequest,
    seen: set[str],
) -> None:
    [response] = await ask(api, version, request)
    assert not response.HasField("error_response"), response.error_response
    for serialized in response.file_descriptor_response.file_descriptor_proto:
        file = FileDescriptorProto.FromString(serialized)
        if file.name in seen:
            continue
        seen.add(file.name)
        for needed in file.dependency:
            if needed not in seen:
                by_name = ServerReflectionRequest(file_by_filename=needed)
                await _add(pool, api, version, by_name, seen)
        pool.Add(file)


async def test_every_service_is_listed_once(root: Api, version: str) -> None:
    """Ours, health, and reflection itself; Envoy asks by a contract of its own."""
    assert [one.name for one in SERVICES if not one.is_described] == [
        "envoy.service.auth.v3.Authorization"
    ]
    [response] = await ask(root, version, ServerReflectionRequest(list_services="*"))
    names = [service.name for service in response.list_services_response.service]
    assert sorted(names) == sorted(NAMES)


@pytest.mark.parametrize("service", NAMES)
async def test_every_service_is_described(root: Api, version: str, service: str) -> None:
    """With all that its messages are made of, so that a client needs nothing else."""
    pool = await described(root, version, service)
    for method in pool.FindServiceByName(service).methods:
        for message in (method.input_type, method.output_type):
            assert pool.FindMessageTypeByName(message.full_name) is message


@pytest.mark.parametrize("message", ["google.rpc.ErrorInfo", "keyauthority.v1.ErrorReason"])
async def test_what_errors_carry_is_described(root: Api, version: str, message: str) -> None:
    """A client that gets an error can show its details."""
    pool = await described(root, version, message)
    find: Any = pool.FindEnumTypeByName if "Reason" in message else pool.FindMessageTypeByName
    assert find(message).full_name == message


METHODS = [
    f"{name}.{method}"
    for name in NAMES
    for method in descriptor_pool.Default().FindServiceByName(name).methods_by_name
]


async def test_every_method_is_found_by_its_name(root: Api, version: str) -> None:
    """In the file of its service, as grpcurl and ghz ask for it."""
    asks = (ServerReflectionRequest(file_containing_symbol=method) for method in METHODS)
    for method, response in zip(METHODS, await ask(root, version, *asks), strict=True):
        service = descriptor_pool.Default().FindServiceByName(method.rpartition(".")[0])
        [serialized, *_] = response.file_descriptor_response.file_descriptor_proto
        assert FileDescriptorProto.FromString(serialized).name == service.file.name
        assert response.original_request.file_containing_symbol == method


@pytest.mark.parametrize(
    "symbol",
    [
        "keyauthority.v1.VerifiedKey",
        "keyauthority.v1.VerifiedKey.id",
        "keyauthority.v1.VerifiedKey.LabelsEntry",
        "keyauthority.v1.VerifiedKey.LabelsEntry.key",
        "keyauthority.v1.Verdict",
        "keyauthority.v1.VERDICT_VALID",
        "grpc.health.v1.HealthCheckResponse.ServingStatus",
        "grpc.reflection.v1.ServerReflectionRequest.message_request",
    ],
)
async def test_what_stands_within_is_found_by_its_name(
    root: Api, version: str, symbol: str
) -> None:
    """Fields, nested messages and enums, oneofs, and values beside their enum."""
    [response] = await ask(root, version, ServerReflectionRequest(file_containing_symbol=symbol))
    [serialized, *_] = response.file_descriptor_response.file_descriptor_proto
    assert symbol.startswith(FileDescriptorProto.FromString(serialized).package + ".")


@pytest.mark.parametrize(
    "symbol",
    ["nothing.At.All", "keyauthority.v1.KeyService.Nothing", "keyauthority.v1.Verdict.Verify", ""],
)
async def test_an_unknown_symbol_is_not_found(root: Api, version: str, symbol: str) -> None:
    """An answer within the stream, which goes on."""
    unknown, known = await ask(
        root,
        version,
        ServerReflectionRequest(file_containing_symbol=symbol),
        ServerReflectionRequest(list_services="*"),
    )
    assert unknown.error_response.error_code == 5
    assert known.list_services_response.service
