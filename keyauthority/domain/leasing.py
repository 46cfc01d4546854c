"""How long leases last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Insider
from keyauthority.domain.errors import invalid
from keyauthority.domain.facts import Action, Fact, length
from keyauthority.domain.ports import Sessions
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import REPLICA, Head, Session, Terms

SHORTEST: Final = timedelta(milliseconds=200)
LONGEST: Final = timedelta(minutes=1)


class Leasing:
    """Reads and sets the terms of leases.

    A longer lease is granted at once, and waited for at once. After a shortening those of the old
    length are still out: they are waited for until `forget_longer`.
    """

    def __init__(self, books: Books) -> None:
        self._books = books

    async def terms(self) -> Terms:
        """What leases are granted by."""
        return await self._books.read(lambda tx: tx.leases.terms())

    async def set(self, actor: Insider, lease: timedelta) -> Terms:
        """Has leases last so long from now on; the terms, with the longest that may be out.

        Raises `KeyAuthorityError`: `FIELD_INVALID`.
        """
        if not SHORTEST <= lease <= LONGEST:
            raise invalid("lease", "is not between 200ms and 60s")

        async def work(change: Change) -> Terms:
            before = await change.tx.leases.terms()
            longest_lease = max(before.longest_lease, lease)
            await _put(change, before, replace(before, lease=lease, longest_lease=longest_lease))
            return await change.tx.leases.terms()

        return await self._books.record(actor, work)

    async def forget_longer(self, actor: Insider, since: Terms) -> None:
        """Says that no longer lease is out than the terms *since* then grant, which was waited for.

        Without effect if the terms were changed meanwhile: longer ones may have been granted again.
        """

        async def work(change: Change) -> None:
            terms = await change.tx.leases.terms()
            if terms.version == since.version:
                await _put(change, terms, replace(terms, longest_lease=terms.lease))

        await self._books.record(actor, work)


async def _put(change: Change, before: Terms, after: Terms) -> None:
    await change.tx.leases.put(after)
    details = {}
    if before.lease != after.lease:
        details = {"from": length(before.lease), "to": length(after.lease)}
    if before.longest_lease != after.longest_lease:
        details["longest_lease"] = length(after.longest_lease)
    if details:
        change.records(Fact(Action.LEASE_CHANGED, details))


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
