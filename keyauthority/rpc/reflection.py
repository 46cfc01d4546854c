"""Server reflection, v1 and v1alpha: what grpcurl and its like ask for first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import _async as v1alpha
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

V1: Final = "grpc.reflection.v1.ServerReflection"


def add_reflection(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Adds both versions to *server*, telling of *services*.

    The package offers v1alpha only; v1 is the same messages under another name, which its
    descriptor has to be known by as well for clients that ask about reflection itself.
    """
    _describe_v1()
    servicer = v1alpha.ReflectionServicer(service_names=services)
    add_ServerReflectionServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    methods = {"ServerReflectionInfo": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(V1, methods),))


def _describe_v1() -> None:
    described = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(described)
    described.name = "grpc/reflection/v1/reflection.proto"
    described.package = "grpc.reflection.v1"
    fields = [field for message in described.message_type for field in message.field]
    methods = [method for service in described.service for method in service.method]
    for field in fields:
        if field.type_name:
            field.type_name = field.type_name.replace("v1alpha", "v1")
    for method in methods:
        method.input_type = method.input_type.replace("v1alpha", "v1")
        method.output_type = method.output_type.replace("v1alpha", "v1")
    descriptor_pool.Default().Add(described)
