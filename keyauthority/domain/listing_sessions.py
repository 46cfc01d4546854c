"""Showing who may hold a lease."""

from __future__ import annotations

from dataclasses import dataclass

from keyauthority.domain.ports import Store
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

    def __init__(self, store: Store) -> None:
        self._store = store

    async def all(self) -> Attendance:
        """Every session."""
        sessions = await self._store.sessions.all()
        caller_ids = {session.caller_id for session in sessions} - {REPLICA}
        async with self._store.reading() as tx:
            callers = [await tx.callers.get(caller_id) for caller_id in caller_ids]
            head, terms = await tx.feed.head(), await tx.leases.terms()
        names = {caller.id: caller.name for caller in callers if caller is not None}
        return Attendance(sessions, names, head, terms)
