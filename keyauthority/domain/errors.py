"""Why calls fail. A refused key is a verdict, not an error: see `verdicts`."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager


class Reason(enum.Enum):
    """Why a call failed. The contract's `ErrorReason` has the same names and explains them."""

    CREDENTIAL_MISSING = enum.auto()
    CREDENTIAL_INVALID = enum.auto()
    ROLE_MISSING = enum.auto()
    FIELD_INVALID = enum.auto()
    PAGE_TOKEN_INVALID = enum.auto()
    SECRET_MALFORMED = enum.auto()
    KEY_NOT_FOUND = enum.auto()
    WORKSPACE_NOT_FOUND = enum.auto()
    CALLER_NOT_FOUND = enum.auto()
    PEPPER_NOT_FOUND = enum.auto()
    ETAG_MISMATCH = enum.auto()
    REQUEST_ID_REUSED = enum.auto()
    CALLER_NAME_TAKEN = enum.auto()
    CERTIFICATE_NAME_TAKEN = enum.auto()
    KEY_REVOKED = enum.auto()
    WORKSPACE_SUSPENDED = enum.auto()
    LAST_ADMIN = enum.auto()
    PEPPER_PENDING = enum.auto()
    PEPPER_RETIRED = enum.auto()
    PEPPER_ACTIVE = enum.auto()
    PEPPER_IN_USE = enum.auto()
    KEYRING_UNWRITABLE = enum.auto()
    KEYRING_MISMATCH = enum.auto()
    STORE_UNAVAILABLE = enum.auto()
    REVISION_NOT_REACHED = enum.auto()
    SHUTTING_DOWN = enum.auto()
    OVERLOADED = enum.auto()
    INTERNAL = enum.auto()
    REVOCATION_SPREADING = enum.auto()
    SESSION_NOT_FOUND = enum.auto()
    TOO_MANY_SESSIONS = enum.auto()
    SECRET_TAKEN = enum.auto()
    LEASE_LOST = enum.auto()
    ACTING_NOT_ALLOWED = enum.auto()
    REFERENCE_REUSED = enum.auto()
    REFERENCE_NOT_FOUND = enum.auto()
    REFUND_TOO_LARGE = enum.auto()
    BALANCE_OUT_OF_RANGE = enum.auto()
    PRICE_EXISTS = enum.auto()
    TOO_MANY_CHARGES = enum.auto()


class KeyAuthorityError(Exception):
    """The failure of a call: *message* and *metadata* go to the caller and hold no secret."""

    def __init__(self, reason: Reason, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata


def invalid(field: str, why: str) -> KeyAuthorityError:
    """Returns the error for a *field* that breaks a limit; *why* completes "*field* …"."""
    return KeyAuthorityError(Reason.FIELD_INVALID, f"{field} {why}", field=field)


@contextmanager
def in_entry(list_name: str, index: int) -> Iterator[None]:
    """Adds to errors raised inside that they concern entry *index* of the list *list_name*."""
    try:
        yield
    except KeyAuthorityError as error:
        entry = f"{list_name}[{index}]."
        field = entry + error.metadata.get("field", "")
        raise KeyAuthorityError(
            error.reason, entry + error.message, field=field, index=str(index)
        ) from None


def credential_invalid() -> KeyAuthorityError:
    """Returns the same error for an unknown and a revoked credential."""
    return KeyAuthorityError(Reason.CREDENTIAL_INVALID, "the credential is not accepted")


def key_not_found(key_id: str) -> KeyAuthorityError:
    """Returns the same error for a key that doesn't exist and one that the caller may not see."""
    return KeyAuthorityError(Reason.KEY_NOT_FOUND, "no such key", key_id=_id("key_", key_id))


def workspace_not_found(workspace_id: str) -> KeyAuthorityError:
    """Returns the error for a workspace that doesn't exist or that the caller may not see."""
    return KeyAuthorityError(
        Reason.WORKSPACE_NOT_FOUND, "no such workspace", workspace_id=_id("ws_", workspace_id)
    )


def caller_not_found(caller_id: str) -> KeyAuthorityError:
    """Returns the error for a caller that doesn't exist."""
    return KeyAuthorityError(
        Reason.CALLER_NOT_FOUND, "no such caller", caller_id=_id("caller_", caller_id)
    )


def session_not_found() -> KeyAuthorityError:
    """Returns the same error for a session that doesn't exist and one of another caller."""
    return KeyAuthorityError(Reason.SESSION_NOT_FOUND, "no such session: join anew")


def too_many_sessions(most: int) -> KeyAuthorityError:
    """Returns the error for a join of a caller that has *most* sessions."""
    return KeyAuthorityError(
        Reason.TOO_MANY_SESSIONS, f"the caller has {most:,} sessions already", sessions=str(most)
    )


def _id(prefix: str, text: str) -> str:
    # A text without an id's prefix may be a secret: errors must not repeat it.
    return text[:64] if text.startswith(prefix) else ""
