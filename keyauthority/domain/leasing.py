"""How long leases last, and who may hold one."""

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

    After a longer duration is set, fences wait for the longer leases at once. After a shorter one is
    set, leases of the old duration may be in force: fences wait for these until `forget_longer`.
    """

    def __init__(self, books: Books) -> None:
        self._books = books

    async def terms(self) -> Terms:
        """Returns the terms of leases."""
        return await self._books.read(lambda tx: tx.leases.terms())

    async def set(self, actor: Insider, lease: timedelta) -> Terms:
        """Sets how long leases last from now on; returns the terms.

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
        """Sets the longest lease in force to the one of the terms *since*, which `set` returned.

        The caller has waited until longer leases were over. Does nothing if the terms have changed
        since: longer leases may have been granted again.
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
class SessionList:
    """The sessions, oldest first, the names of their callers by id, and the head and the terms."""

    sessions: list[Session]
    caller_names: dict[str, str]
    head: Head
    terms: Terms


async def list_sessions(books: Books, sessions: Sessions) -> SessionList:
    """Returns every session."""
    records = await sessions.all()
    caller_ids = {session.caller_id for session in records} - {REPLICA}

    async def work(tx: Transaction) -> SessionList:
        callers = [await tx.callers.get(caller_id) for caller_id in caller_ids]
        names = {caller.id: caller.name for caller in callers if caller is not None}
        return SessionList(records, names, await tx.feed.head(), await tx.leases.terms())

    return await books.read(work)
