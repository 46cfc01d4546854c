"""How a call can fail. What a caller decides by is a class or an attribute, never a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc

from keyauthority.client.details import error_info
from keyauthority.domain.errors import Reason


class AuthorityError(Exception):
    """A call to the authority failed.

    Attributes:
        message: The authority's sentence, or gRPC's own. It holds no secret.
        code: The gRPC status.
        reason: Why, as in the contract's `ErrorReason`; None if it says nothing that is known here.
        metadata: What belongs to the reason; see there.
        request_id: What the authority's log knows the call by.
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
    """The authority says no to what was asked, and changed nothing: to repeat it is no use."""

    @property
    def field(self) -> str:
        """The field at fault, if it is one: `name`, `keys[17].name`."""
        return self.metadata.get("field", "")

    @property
    def index(self) -> int | None:
        """Which entry of a list of messages is at fault, if it is one."""
        index = self.metadata.get("index", "")
        return int(index) if index.isdecimal() else None


class MissingError(AuthorityError):
    """There is no such key, workspace, caller or pepper among those that the caller may see."""

    @property
    def id(self) -> str:
        """What there is none of; empty if it was no id."""
        return next(iter(self.metadata.values()), "")


class CredentialError(AuthorityError):
    """The caller is not let do this, or not known: a matter of its credential and roles."""


class SpreadingError(AuthorityError):
    """The change is made, and not every verifier is known to have applied it yet."""

    @property
    def seconds(self) -> str:
        """Within how many seconds it is in force everywhere."""
        return self.metadata.get("within", "")


class UnavailableError(AuthorityError):
    """No answer, or none of use: whether a change was made is not known."""


class TransportError(UnavailableError):
    """It was gRPC that failed: nobody answered, or no key authority did."""


_OF: Final[Mapping[grpc.StatusCode, type[AuthorityError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: RefusedError,
    grpc.StatusCode.FAILED_PRECONDITION: RefusedError,
    grpc.StatusCode.ALREADY_EXISTS: RefusedError,
    grpc.StatusCode.ABORTED: RefusedError,
    grpc.StatusCode.NOT_FOUND: MissingError,
    grpc.StatusCode.UNAUTHENTICATED: CredentialError,
    grpc.StatusCode.PERMISSION_DENIED: CredentialError,
}


def failure(error: Any, request_id: str = "") -> AuthorityError:
    """What *error* means, which a call of the *request_id* raised: gRPC's, of either kind of channel."""
    code, details = error.code(), error.details() or ""
    info = error_info(error)
    if info is None:
        return TransportError(details, code, request_id=request_id)
    reason = Reason.__members__.get(info.reason)
    kind = _OF.get(code, UnavailableError)
    if reason is Reason.REVOCATION_SPREADING:
        kind = SpreadingError
    return kind(details or info.reason, code, reason, dict(info.metadata), request_id)
