"""How storage fails: at the start in a sentence for the operator, later as an outage."""

from __future__ import annotations

from typing import Final

from keyauthority.domain.errors import KeyAuthorityError, Reason

CLOSED: Final = "the database is closed"


class StorageError(Exception):
    """The books can't be opened. The message is one sentence that says what to do about it."""


class NoBooksError(StorageError):
    """There are no books where some must be. The message names the place."""


def unavailable(why: str) -> KeyAuthorityError:
    """The books can't be read or written now; *why* is a sentence that reveals none of them."""
    return KeyAuthorityError(Reason.STORE_UNAVAILABLE, why)


def name_taken(name: str) -> KeyAuthorityError:
    """A caller in force bears that name."""
    return KeyAuthorityError(Reason.CALLER_NAME_TAKEN, "a caller of that name exists", name=name)


def certificate_name_taken(certificate_name: str) -> KeyAuthorityError:
    """A caller in force is known by that certificate name."""
    return KeyAuthorityError(
        Reason.CERTIFICATE_NAME_TAKEN,
        "a caller with that certificate name exists",
        certificate_name=certificate_name,
    )
