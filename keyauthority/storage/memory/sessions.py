"""The sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyauthority.coherence.sessions import resets
from keyauthority.domain.allowances import Allowance
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ports import Clock
from keyauthority.domain.revisions import Claim
from keyauthority.domain.sessions import REPLICA, Grant, Terms
from keyauthority.storage.alone import SessionsAlone
from keyauthority.storage.memory.books import Books
from keyauthority.storage.memory.feed import head

TOLD: Final = 1_000


class MemorySessions(SessionsAlone):
    """`Sessions` beside books in memory."""

    def __init__(self, books: Callable[[], Books], clock: Clock) -> None:
        super().__init__(clock)
        self._books = books

    async def _grant(
        self, session_id: str, caller_id: str, claim: Claim, allowance: Allowance
    ) -> Grant:
        books = self._books()
        caller = books.callers.get(caller_id)
        if caller_id != REPLICA and (caller is None or caller.revoke_time is not None):
            raise KeyAuthorityError(Reason.CREDENTIAL_INVALID, "the credential is not accepted")
        told = [subject for one, subject in books.subjects.items() if one > claim.revision]
        forgotten = claim.revision < books.revision - len(books.subjects)
        reset = resets(claim, head(books)) or len(told) > TOLD or forgotten
        return Grant(
            session_id,
            head(books),
            allowance.granted(books.terms.lease),
            None if reset else tuple(dict.fromkeys(told)),
            books.terms.foreign_secrets,
            allowance,
        )

    async def _terms(self) -> Terms:
        return self._books().terms
