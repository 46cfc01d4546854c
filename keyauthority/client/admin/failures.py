"""How a call can fail: by classes and attributes to decide by, never by sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc

from keyauthority.client.attempts import error_info
from keyauthority.domain.errors import Reason


class AuthorityError(Exception):
    """A call to the authority failed.

    Attributes:
        message: The authority's sentence, or gRPC's own. It holds no secret.
        code: The gRPC status.
        reason: The contract's `ErrorReason`; None if only newer versions know it.
        metadata: The values that belong to the reason; see the contract.
        request_id: The id of the call in the authority's log.
    """

    def __init__(
        self,
        message: str,
        code: grpc.StatusCode,
        reason: Reason | None = None,
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = metadata or {}
        self.request_id = request_id


class RefusedError(AuthorityError):
    """The authority refused the call and changed nothing. A repeat is refused as well."""

    @property
    def field(self) -> str:
        """The field at fault, such as `name` or `keys[17].name`; empty if it is no field."""
        return self.metadata.get("field", "")

    @property
    def index(self) -> int | None:
        """The place of the fault in a list of messages; None if it is not in a list."""
        index = self.metadata.get("index", "")
        return int(index) if index.isdecimal() else None


class MissingError(AuthorityError):
    """The caller may see no such key, workspace, caller or pepper."""

    @property
    def id(self) -> str:
        """The id that names nothing; empty if the call has no id."""
        return next(iter(self.metadata.values()), "")


class CredentialError(AuthorityError):
    """The credential is not accepted, or lacks the role for the call."""


class SpreadingError(AuthorityError):
    """The change is made, but not yet known to be in force at every verifier."""

    @property
    def seconds(self) -> str:
        """The seconds within which the change is in force everywhere."""
        return self.metadata.get("within", "")


class UnavailableError(AuthorityError):
    """No answer, or none of use. A change may have been made or not."""


class TransportError(UnavailableError):
    """gRPC failed: nobody answered, or no key authority did."""


_CLASSES: Final[Mapping[grpc.StatusCode, type[AuthorityError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: RefusedError,
    grpc.StatusCode.FAILED_PRECONDITION: RefusedError,
    grpc.StatusCode.ALREADY_EXISTS: RefusedError,
    grpc.StatusCode.ABORTED: RefusedError,
    grpc.StatusCode.OUT_OF_RANGE: RefusedError,
    grpc.StatusCode.NOT_FOUND: MissingError,
    grpc.StatusCode.UNAUTHENTICATED: CredentialError,
    grpc.StatusCode.PERMISSION_DENIED: CredentialError,
}


def failure(error: Any, request_id: str = "") -> AuthorityError:
    """Returns the gRPC *error* of the call with *request_id* as an `AuthorityError`."""
    code, details = error.code(), error.details() or ""
    info = error_info(error)
    if info is None:
        return TransportError(details, code, request_id=request_id)
    reason = Reason.__members__.get(info.reason)
    kind = _CLASSES.get(code, UnavailableError)
    if reason is Reason.REVOCATION_SPREADING:
        kind = SpreadingError
    return kind(details or info.reason, code, reason, dict(info.metadata), request_id)
