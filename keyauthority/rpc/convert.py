"""Fields that several services have: from messages to the domain's values, and back."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from keyauthority.domain.errors import invalid
from keyauthority.domain.sessions import Receipt
from keyauthority.v1 import receipt_pb2
from keyauthority.v1.wire import duration

Member = TypeVar("Member", bound=enum.Enum)


def time_of(request: Message, field: str) -> datetime | None:
    """Returns the moment in *field*, None if it is unset; raises `FIELD_INVALID`."""
    if not request.HasField(field):
        return None
    try:
        moment: datetime = getattr(request, field).ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid(field, "is not a time between the years 1 and 9999") from None
    return moment


def length_of(request: Message, field: str) -> timedelta | None:
    """Returns the length of time in *field*, None if it is unset; raises `FIELD_INVALID`."""
    if not request.HasField(field):
        return None
    try:
        length: timedelta = getattr(request, field).ToTimedelta()
    except (ValueError, OverflowError):
        raise invalid(field, "is not a length of time") from None
    return length


def mask_of(mask: FieldMask, message: Message, fields: frozenset[str]) -> frozenset[str]:
    """Returns which of *fields* an update names (AIP-134): all for `*`, those set for an empty mask.

    Raises `FIELD_INVALID`.
    """
    if list(mask.paths) == ["*"]:
        return fields
    if not fields.issuperset(mask.paths):
        raise invalid("update_mask", f"names a field other than {', '.join(sorted(fields))}")
    if mask.paths:
        return frozenset(mask.paths)
    return fields & {descriptor.name for descriptor, _ in message.ListFields()}


def member_of(kind: type[Member], number: int, field: str) -> Member:
    """Returns the member of *kind* that has the *number* in *field*; raises `FIELD_INVALID`."""
    try:
        return kind(number)
    except ValueError:
        raise invalid(field, f"has no value {number}") from None


def number_of(member: enum.Enum) -> Any:
    """Returns the contract's number of *member*: the domain's enums have the same."""
    return member.value


def receipt(record: Receipt) -> receipt_pb2.Receipt:
    """Returns the message of a receipt."""
    return receipt_pb2.Receipt(
        revision=record.revision,
        sessions_acknowledged=record.sessions_acknowledged,
        leases_waited_out=record.leases_waited_out,
        waited=duration(record.waited),
    )
