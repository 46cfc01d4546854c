"""Every fault of a call: the gRPC status of its answer, and the alarm for the operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, cast

import grpc
import structlog
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from keyauthority.base.recent import Recent
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc.metrics import CallMetrics
from keyauthority.v1.wire import ERROR_DOMAIN

QUIET: Final = 60.0
"""Seconds in which one alarm about one record is logged once."""

ALARMS: Final = 1_000
"""How many alarms are remembered."""

log = structlog.get_logger()

STATUS: Final = {
    Reason.CREDENTIAL_MISSING: grpc.StatusCode.UNAUTHENTICATED,
    Reason.CREDENTIAL_INVALID: grpc.StatusCode.UNAUTHENTICATED,
    Reason.ROLE_MISSING: grpc.StatusCode.PERMISSION_DENIED,
    Reason.FIELD_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PAGE_TOKEN_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.SECRET_MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.KEY_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.WORKSPACE_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.CALLER_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.PEPPER_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.ETAG_MISMATCH: grpc.StatusCode.ABORTED,
    Reason.REQUEST_ID_REUSED: grpc.StatusCode.ALREADY_EXISTS,
    Reason.CALLER_NAME_TAKEN: grpc.StatusCode.ALREADY_EXISTS,
    Reason.CERTIFICATE_NAME_TAKEN: grpc.StatusCode.ALREADY_EXISTS,
    Reason.KEY_REVOKED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.WORKSPACE_SUSPENDED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.LAST_ADMIN: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.PEPPER_PENDING: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.PEPPER_RETIRED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.PEPPER_ACTIVE: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.PEPPER_IN_USE: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.KEYRING_UNWRITABLE: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.KEYRING_MISMATCH: grpc.StatusCode.UNAVAILABLE,
    Reason.STORE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.REVISION_NOT_REACHED: grpc.StatusCode.UNAVAILABLE,
    Reason.SHUTTING_DOWN: grpc.StatusCode.UNAVAILABLE,
    Reason.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
    Reason.REVOCATION_SPREADING: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.SESSION_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.TOO_MANY_SESSIONS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.SECRET_TAKEN: grpc.StatusCode.ALREADY_EXISTS,
    Reason.REFERENCE_REUSED: grpc.StatusCode.ALREADY_EXISTS,
    Reason.REFERENCE_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.REFUND_TOO_LARGE: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.BALANCE_OUT_OF_RANGE: grpc.StatusCode.OUT_OF_RANGE,
    Reason.PRICE_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Reason.TOO_MANY_CHARGES: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.LEASE_LOST: grpc.StatusCode.UNAVAILABLE,
    Reason.ACTING_NOT_ALLOWED: grpc.StatusCode.PERMISSION_DENIED,
}


class _Status(NamedTuple):
    # grpc.Status is an interface: whatever has these three.
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def to_status(error: KeyAuthorityError, *metadata: tuple[str, str]) -> grpc.Status:
    """Returns the status of *error*, with its `google.rpc.ErrorInfo` (AIP-193) and trailing *metadata*."""
    detail = Any()
    detail.Pack(ErrorInfo(reason=error.reason.name, domain=ERROR_DOMAIN, metadata=error.metadata))
    code: int = STATUS[error.reason].value[0]
    status = rpc_status.to_status(Status(code=code, message=error.message, details=[detail]))
    trailing = (*status.trailing_metadata, *metadata)
    return cast("grpc.Status", _Status(status.code, status.details, trailing))


class Alarms:
    """Tells the operator of records that aren't of this keyring: counts each, logs it now and then."""

    def __init__(self, metrics: CallMetrics, now: Callable[[], float]) -> None:
        self._metrics = metrics
        self._now = now
        self._quiet_until: Recent[str, float] = Recent(ALARMS)

    def notice(self, error: KeyAuthorityError) -> None:
        """Counts *error*, and logs it, if it is about such a record."""
        if error.reason is not Reason.KEYRING_MISMATCH:
            return
        self._metrics.keyring_mismatches += 1
        now = self._now()
        if now >= self._quiet_until.get(error.message, now):
            self._quiet_until.note(error.message, now + QUIET)
            log.error("keyring_mismatch", why=error.message, **error.metadata)
