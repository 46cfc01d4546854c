"""Server reflection, v1 and v1alpha: what grpcurl and its like ask for first.

The package has v1alpha only. v1 is the same messages under another name; its descriptor is added to
the pool, for clients that ask about reflection itself. The pool of the Python runtime finds no methods
by name, which `grpcurl describe Service.Method` and ghz ask for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message
from grpc_reflection.v1alpha import _async as v1alpha
from grpc_reflection.v1alpha import reflection_pb2

from keyauthority.rpc.call import Context
from keyauthority.rpc.service import Parts


class ReflectionServicer(v1alpha.ReflectionServicer):
    """Describes the services, in version v1alpha."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(service_names=parts.services)

    def _file_containing_symbol(
        self, request: reflection_pb2.ServerReflectionRequest, fully_qualified_name: str
    ) -> reflection_pb2.ServerReflectionResponse:
        service, _, name = fully_qualified_name.rpartition(".")
        symbol = service if _is_method(service, name) else fully_qualified_name
        find: Any = super()._file_containing_symbol  # type: ignore[misc]  # the stubs lack it
        response: reflection_pb2.ServerReflectionResponse = find(request, symbol)
        return response


class ReflectionV1Servicer:
    """The same for v1, whose requests are other classes of the same messages."""

    def __init__(self, parts: Parts) -> None:
        self._v1alpha: Any = ReflectionServicer(parts)

    async def ServerReflectionInfo(
        self, requests: AsyncIterator[Message], context: Context
    ) -> AsyncIterator[Message]:
        v1alpha_requests = (
            reflection_pb2.ServerReflectionRequest.FromString(request.SerializeToString())
            async for request in requests
        )
        async for response in self._v1alpha.ServerReflectionInfo(v1alpha_requests, context):
            yield response


def _is_method(service: str, name: str) -> bool:
    try:
        return name in descriptor_pool.Default().FindServiceByName(service).methods_by_name
    except KeyError:
        return False


def _describe_v1() -> None:
    described = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(described)
    described.name = "grpc/reflection/v1/reflection.proto"
    described.package = "grpc.reflection.v1"
    for message in described.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace("v1alpha", "v1")
    for service in described.service:
        for method in service.method:
            method.input_type = method.input_type.replace("v1alpha", "v1")
            method.output_type = method.output_type.replace("v1alpha", "v1")
    descriptor_pool.Default().Add(described)


# At import, as generated code does it.
_describe_v1()
