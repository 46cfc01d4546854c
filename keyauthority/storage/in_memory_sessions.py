"""The sessions of an authority that is one process: in memory, since its verifiers rejoin it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from keyauthority.coherence.sessions import Entry, SessionBook, credited
from keyauthority.domain.errors import session_not_found, too_many_sessions
from keyauthority.domain.ports import Clock
from keyauthority.domain.secrets import new_id
from keyauthority.domain.sessions import (
    SESSIONS_PER_CALLER,
    Allowance,
    Claim,
    Grant,
    Session,
    Standing,
    Terms,
)


@dataclass(slots=True)
class _Description:
    # What people see of a session beside its entry in the book.
    name: str
    create_time: datetime
    sync_time: datetime
    late: int = 0


class InMemorySessions(ABC):
    """`Sessions` over a `SessionBook`; subclasses read what a grant rests on.

    A session is in the book before the head is read, so that whoever commits a later revision finds
    it there.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._book = SessionBook()
        self._descriptions: dict[str, _Description] = {}

    @abstractmethod
    async def _grant(
        self, session_id: str, caller_id: str, claim: Claim, allowance: Allowance
    ) -> Grant:
        """Reads what a grant by *allowance* rests on; raises `CREDENTIAL_INVALID`."""

    @abstractmethod
    async def _terms(self) -> Terms:
        """Reads the terms."""

    async def join(self, caller_id: str, name: str, claim: Claim) -> Grant:
        if self._book.of_caller(caller_id) >= SESSIONS_PER_CALLER:
            raise too_many_sessions(SESSIONS_PER_CALLER)
        session_id, now = new_id("session"), self._clock.now()
        self._book.join(session_id, caller_id)
        self._descriptions[session_id] = _Description(name, now, now)
        try:
            return await self._acknowledge(session_id, caller_id, claim)
        except BaseException:
            # Nobody got a lease.
            await self.leave(session_id, caller_id)
            raise

    async def renew(self, session_id: str, caller_id: str, claim: Claim) -> Grant:
        if not self._book.beat(session_id, caller_id):
            raise session_not_found()
        self._descriptions[session_id].sync_time = self._clock.now()
        return await self._acknowledge(session_id, caller_id, claim)

    async def allow(
        self, session_id: str, before: Allowance, after: Allowance, *, late: bool = False
    ) -> bool:
        allowed = self._book.allow(session_id, before, after)
        if allowed and late:
            self._descriptions[session_id].late += 1
        return allowed

    async def leave(self, session_id: str, caller_id: str) -> None:
        self._book.leave(session_id, caller_id)
        self._forget_if_ended(session_id)

    async def remove(self, session_id: str, beat: int) -> bool:
        removed = self._book.remove(session_id, beat)
        self._forget_if_ended(session_id)
        return removed

    async def callers_of(self, session_ids: Collection[str]) -> dict[str, str]:
        callers = {session_id: self._book.caller_of(session_id) for session_id in session_ids}
        return {session_id: caller for session_id, caller in callers.items() if caller is not None}

    async def standing(self) -> Standing:
        terms = await self._terms()
        return Standing(self._book.standing(), terms)

    async def all(self) -> list[Session]:
        return [self._session(session_id, entry) for session_id, entry in self._book]

    def clear(self) -> None:
        """Ends all sessions: a new epoch has begun."""
        self._book.clear()
        self._descriptions.clear()

    async def _acknowledge(self, session_id: str, caller_id: str, claim: Claim) -> Grant:
        # The allowance from before the head is read: meanwhile the session may get a longer one,
        # and a change need not wait for that.
        allowance = self._book.allowance(session_id)
        grant = await self._grant(session_id, caller_id, claim, allowance)
        if session_id not in self._book:
            raise session_not_found()
        self._book.acknowledge(session_id, credited(claim, grant.head))
        return grant

    def _session(self, session_id: str, entry: Entry) -> Session:
        description = self._descriptions[session_id]
        return Session(
            session_id,
            entry.caller_id,
            description.name,
            entry.beat,
            entry.acknowledged,
            description.create_time,
            description.sync_time,
            entry.allowance,
            description.late,
        )

    def _forget_if_ended(self, session_id: str) -> None:
        if session_id not in self._book:
            self._descriptions.pop(session_id, None)
