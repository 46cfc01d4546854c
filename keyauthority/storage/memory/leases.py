"""The feed of changes, the terms of leases, and the sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from keyauthority.coherence.sessions import resets
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ports import Clock
from keyauthority.domain.sessions import REPLICA, Allowance, Claim, Grant, Head, Terms
from keyauthority.storage.in_memory_sessions import InMemorySessions
from keyauthority.storage.memory.books import Books, Repository


class MemoryLeases(Repository):
    """`Leases` within one transaction."""

    async def terms(self) -> Terms:
        return self._books.terms

    async def put(self, terms: Terms) -> None:
        self._books.terms = replace(terms, version=self._books.terms.version + 1)

    async def begin(self) -> bool:
        # These books, and all their sessions, end with the process.
        return True

    async def end(self) -> None:
        pass

    async def begin_epoch(self, time: datetime) -> Head:
        self._books.epoch = max(self._books.epoch + 1, int(time.timestamp() * 1000))
        self._books.terms = replace(self._books.terms, settling=True)
        return head(self._books)


def head(books: Books) -> Head:
    """Returns the head of *books*."""
    return Head(books.epoch, books.revision)


class MemoryFeed(Repository):
    """`Feed` within one transaction."""

    async def head(self) -> Head:
        return head(self._books)

    async def advance(self, subjects: Sequence[str]) -> int:
        self._books.subjects.update(enumerate(subjects, self._books.revision + 1))
        self._books.revision += len(subjects)
        return self._books.revision

    async def since(self, revision: int, limit: int) -> list[tuple[int, str]]:
        after = [change for change in self._books.subjects.items() if change[0] > revision]
        return after[:limit]

    async def prune(self, keep: int) -> int:
        old = [number for number in self._books.subjects if number <= self._books.revision - keep]
        for revision in old:
            del self._books.subjects[revision]
        return len(old)


MOST_CHANGES: Final = 1_000


class MemorySessions(InMemorySessions):
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
        subjects = [
            subject for revision, subject in books.subjects.items() if revision > claim.revision
        ]
        pruned = claim.revision < books.revision - len(books.subjects)
        reset = resets(claim, head(books)) or len(subjects) > MOST_CHANGES or pruned
        return Grant(
            session_id,
            head(books),
            allowance.granted(books.terms.lease),
            None if reset else tuple(dict.fromkeys(subjects)),
            books.terms.foreign_secrets,
            allowance,
        )

    async def _terms(self) -> Terms:
        return self._books().terms
