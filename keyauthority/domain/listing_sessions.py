"""Showing who may hold a lease."""

from __future__ import annotations

from dataclasses import dataclass

from keyauthority.domain.books import Books
from keyauthority.domain.ports import Sessions, Transaction
from keyauthority.domain.revisions import Head
from keyauthority.domain.sessions import REPLICA, Session, Terms


@dataclass(frozen=True, slots=True)
class Attendance:
    """The sessions, oldest first, the names of their callers by id, and what they are held against."""

    sessions: list[Session]
    caller_names: dict[str, str]
    head: Head
    terms: Terms


class ListingSessions:
    """Shows the sessions to those who run the authority."""

    def __init__(self, books: Books, sessions: Sessions) -> None:
        self._books = books
        self._sessions = sessions

    async def all(self) -> Attendance:
        """Every session."""
        sessions = await self._sessions.all()
        caller_ids = {session.caller_id for session in sessions} - {REPLICA}

        async def work(tx: Transaction) -> Attendance:
            callers = [await tx.callers.get(caller_id) for caller_id in caller_ids]
            names = {caller.id: caller.name for caller in callers if caller is not None}
            return Attendance(sessions, names, await tx.feed.head(), await tx.leases.terms())

        return await self._books.read(work)
