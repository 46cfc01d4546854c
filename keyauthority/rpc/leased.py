"""What a process may tell that is not alone with its books, and has lost its lease on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyauthority.domain.errors import KeyAuthorityError, Reason

OF_THE_CALL: Final = frozenset(
    {
        Reason.CREDENTIAL_MISSING,
        Reason.FIELD_INVALID,
        Reason.PAGE_TOKEN_INVALID,
        Reason.KEYRING_MISMATCH,
        Reason.STORE_UNAVAILABLE,
        Reason.REVISION_NOT_REACHED,
        Reason.SHUTTING_DOWN,
        Reason.OVERLOADED,
        Reason.INTERNAL,
        Reason.LEASE_LOST,
    }
)
"""The faults that say nothing of what is in the books: they are told with and without a lease."""


class Leased:
    """Lets out nothing definite without a lease.

    Without one the books may be those of a server that was the primary once, and so lack what others
    have written since: neither what they have nor what they lack may be told. *may_answer* says
    whether the process has one, or needs none.
    """

    def __init__(self, may_answer: Callable[[], bool]) -> None:
        self._may_answer = may_answer

    def check_before_change(self) -> None:
        """Raises `LEASE_LOST` before anything is changed."""
        if not self._may_answer():
            raise _lease_lost("nothing was changed")

    def check_answer(self, *, of_change: bool) -> None:
        """Raises `LEASE_LOST` instead of an answer that is about to be given."""
        if not self._may_answer():
            raise _lease_lost(
                "the change may be made or not" if of_change else "what was read may be the past"
            )

    def judged(self, failure: BaseException) -> BaseException:
        """What is to be told of *failure*."""
        if not isinstance(failure, KeyAuthorityError) or failure.reason in OF_THE_CALL:
            return failure
        if self._may_answer():
            return failure
        return _lease_lost("what it would say may be of the past")


def _lease_lost(what: str) -> KeyAuthorityError:
    return KeyAuthorityError(
        Reason.LEASE_LOST, f"this process has no lease on its database at the moment: {what}"
    )
