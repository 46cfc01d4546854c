"""How storage fails: at the start in a sentence for the operator, later as an outage."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

from keyauthority.base.relational import outages as relational
from keyauthority.base.relational.outages import StorageError
from keyauthority.domain.errors import KeyAuthorityError, Reason

CLOSED: Final = "the database is closed"


class NoBooksError(StorageError):
    """There are no books where some must be. The message names the place."""


def unavailable(why: str) -> KeyAuthorityError:
    """The books can't be read or written now; *why* is a sentence that reveals none of them."""
    return KeyAuthorityError(Reason.STORE_UNAVAILABLE, why)


def outages() -> AbstractContextManager[None]:
    """Raises `STORE_UNAVAILABLE` for what disk, server or network did; mistakes pass unchanged."""
    return relational.outages(unavailable)


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
