"""What a process may answer that shares its books with others, and has lost its lease on them."""

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
        Reason.TOO_MANY_CHARGES,
        Reason.INTERNAL,
        Reason.LEASE_LOST,
    }
)
"""The faults that say nothing of what is in the books: they need no lease."""


class Leased:
    """Keeps back what the books say while the process has no lease.

    The books may then be those of a former primary, and lack what others have written since: neither
    what they have nor what they lack may be answered. *may_answer* says whether the process has a
    lease, or needs none.
    """

    def __init__(self, may_answer: Callable[[], bool]) -> None:
        self._may_answer = may_answer

    def check_before_change(self) -> None:
        """Raises `LEASE_LOST` before anything is changed."""
        if not self._may_answer():
            raise _lease_lost("nothing was changed")

    def check_answer(self, *, of_change: bool) -> None:
        """Raises `LEASE_LOST` in the place of an answer."""
        if not self._may_answer():
            raise _lease_lost(
                "the change may be made or not" if of_change else "what was read may be the past"
            )

    def judged(self, failure: BaseException) -> BaseException:
        """Returns the failure to answer with in the place of *failure*."""
        of_books = isinstance(failure, KeyAuthorityError) and failure.reason not in OF_THE_CALL
        if of_books and not self._may_answer():
            return _lease_lost("what it would say may be of the past")
        return failure


def _lease_lost(what: str) -> KeyAuthorityError:
    return KeyAuthorityError(
        Reason.LEASE_LOST, f"this process has no lease on its database at the moment: {what}"
    )
