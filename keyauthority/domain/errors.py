"""The faults of callers and of the authority itself. A refused key is none of them: see `verdicts`."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager


class Reason(enum.Enum):
    """Why a call failed: the names of the contract's `ErrorReason`, where each is explained."""

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


class KeyAuthorityError(Exception):
    """A call failed for *reason*; *message* and *metadata* go to the caller and hold no secret."""

    def __init__(self, reason: Reason, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata


def invalid(field: str, why: str) -> KeyAuthorityError:
    """The request's *field* breaks a limit; *why* completes the sentence "*field* …"."""
    return KeyAuthorityError(Reason.FIELD_INVALID, f"{field} {why}", field=field)


@contextmanager
def in_entry(place: str, index: int) -> Iterator[None]:
    """What breaks a limit in here is said to be in entry *index* of the list *place*."""
    try:
        yield
    except KeyAuthorityError as error:
        named = f"{place}[{index}]."
        field = named + error.metadata.get("field", "")
        raise KeyAuthorityError(
            error.reason, named + error.message, field=field, index=str(index)
        ) from None


def credential_invalid() -> KeyAuthorityError:
    """A credential of nobody, or no longer of anybody: the two are not told apart."""
    return KeyAuthorityError(Reason.CREDENTIAL_INVALID, "the credential is not accepted")


def secret_taken(index: int) -> KeyAuthorityError:
    """The secret of entry *index* was imported before; whose it is stays unsaid."""
    return KeyAuthorityError(
        Reason.SECRET_TAKEN, f"keys[{index}].secret belongs to a key already", index=str(index)
    )


def secret_malformed() -> KeyAuthorityError:
    """What was presented can't be a secret of any key."""
    return KeyAuthorityError(Reason.SECRET_MALFORMED, "that is not a secret of this authority")


def key_not_found(key_id: str) -> KeyAuthorityError:
    """No such key, or one that the caller may not see: the two are not told apart."""
    return KeyAuthorityError(Reason.KEY_NOT_FOUND, "no such key", key_id=_shown("key_", key_id))


def workspace_not_found(workspace_id: str) -> KeyAuthorityError:
    """No such workspace, or one that the caller may not see: the two are not told apart."""
    return KeyAuthorityError(
        Reason.WORKSPACE_NOT_FOUND, "no such workspace", workspace_id=_shown("ws_", workspace_id)
    )


def caller_not_found(caller_id: str) -> KeyAuthorityError:
    """No such caller."""
    return KeyAuthorityError(
        Reason.CALLER_NOT_FOUND, "no such caller", caller_id=_shown("caller_", caller_id)
    )


def _shown(prefix: str, given: str) -> str:
    """What a caller gave for an id, if it begins like one: anything else may be a secret."""
    return given[:64] if given.startswith(prefix) else ""


def session_not_found() -> KeyAuthorityError:
    """No such session, or another caller's: the two are not told apart."""
    return KeyAuthorityError(Reason.SESSION_NOT_FOUND, "no such session: join anew")


def too_many_sessions(most: int) -> KeyAuthorityError:
    """The caller has *most* sessions already."""
    return KeyAuthorityError(
        Reason.TOO_MANY_SESSIONS, f"the caller has {most:,} sessions already", sessions=str(most)
    )
