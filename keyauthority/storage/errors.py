"""How storage fails: at the start in a sentence for the operator, later as an outage."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

from keyauthority.base.relational import outages as relational
from keyauthority.base.relational.outages import StorageError
from keyauthority.domain.errors import KeyAuthorityError, Reason

CLOSED: Final = "the database is closed"


class NoBooksError(StorageError):
    """There are no books where there must be some. The message names the place."""


class InUseError(StorageError):
    """Another process has the books. The message names the process."""


def unavailable(why: str) -> KeyAuthorityError:
    """Returns the error for books that can't be read or written now; *why* reveals no content."""
    return KeyAuthorityError(Reason.STORE_UNAVAILABLE, why)


def outages() -> AbstractContextManager[None]:
    """Raises `STORE_UNAVAILABLE` for failures of disk, server or network; our mistakes pass."""
    return relational.outages(unavailable)


def name_taken(name: str) -> KeyAuthorityError:
    """Returns the error for the name of another caller in force."""
    return KeyAuthorityError(Reason.CALLER_NAME_TAKEN, "a caller of that name exists", name=name)


def certificate_name_taken(certificate_name: str) -> KeyAuthorityError:
    """Returns the error for the certificate name of another caller in force."""
    return KeyAuthorityError(
        Reason.CERTIFICATE_NAME_TAKEN,
        "a caller with that certificate name exists",
        certificate_name=certificate_name,
    )
