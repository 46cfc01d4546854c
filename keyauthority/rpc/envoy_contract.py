"""The part of Envoy's contract `envoy.service.auth.v3` that is used here, with its field numbers.

Envoy sends more, which is skipped. The contract is in a pool of its own: in one process, the same
names can't be in the default pool twice, and somebody else may load all of Envoy's.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE: Final = "envoy.service.auth.v3"
_SCALARS: Final = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int32": FieldDescriptorProto.TYPE_INT32,
}

# Names count for the service alone. `google.rpc.Status`, `envoy.config.core.v3` and `envoy.type.v3`
# are written here as if they were of this package; an enum is an int32 on the wire.
_MESSAGES: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "CheckRequest": {"attributes": (1, "AttributeContext")},
    "AttributeContext": {"request": (4, "Request")},
    "Request": {"http": (2, "HttpRequest")},
    "HttpRequest": {
        "method": (2, "string"),
        "headers": (3, "map"),
        "path": (4, "string"),
        "header_map": (13, "HeaderMap"),
    },
    "HeaderMap": {"headers": (1, "repeated HeaderValue")},
    "HeaderValue": {"key": (1, "string"), "value": (2, "string"), "raw_value": (3, "bytes")},
    "HeaderValueOption": {"header": (1, "HeaderValue")},
    "CheckResponse": {
        "status": (1, "Status"),
        "denied_response": (2, "DeniedHttpResponse"),
        "ok_response": (3, "OkHttpResponse"),
    },
    "Status": {"code": (1, "int32")},
    "DeniedHttpResponse": {
        "status": (1, "HttpStatus"),
        "headers": (2, "repeated HeaderValueOption"),
        "body": (3, "string"),
    },
    "HttpStatus": {"code": (1, "int32")},
    "OkHttpResponse": {
        "headers": (2, "repeated HeaderValueOption"),
        "headers_to_remove": (5, "repeated string"),
    },
}


def _pool() -> DescriptorPool:
    file = FileDescriptorProto(name="envoy_contract.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    file.service.add(name="Authorization").method.add(
        name="Check", input_type=_name("CheckRequest"), output_type=_name("CheckResponse")
    )
    pool = DescriptorPool()
    pool.Add(file)
    return pool


def _add_field(message: DescriptorProto, name: str, number: int, kind: str) -> None:
    if kind == "map":
        # A map of strings is a list of entries, whose message has this name.
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, "string")
        kind = f"repeated {message.name}.{entry.name}"
    word, _, repeated = kind.partition(" ")
    kind = repeated or word
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = field.TYPE_MESSAGE, _name(kind)


def _name(message: str) -> str:
    return f".{_PACKAGE}.{message}"


# At import, as generated code does it.
POOL: Final = _pool()


def _class(name: str) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


CheckRequest: Final = _class("CheckRequest")
CheckResponse: Final = _class("CheckResponse")
HeaderValueOption: Final = _class("HeaderValueOption")
