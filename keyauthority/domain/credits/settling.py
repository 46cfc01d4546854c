"""Serving verifiers that spend the credits of workspaces."""

from __future__ import annotations

from keyauthority.domain.books import Books, Posting
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.charging import Counts
from keyauthority.domain.credits.settlement import Recalls, open_settlement
from keyauthority.domain.credits.spending import Answer, Call, check
from keyauthority.domain.ports import Sessions


class Settling:
    """Serves verifiers that spend.

    Args:
        books: The books.
        sessions: The sessions of verifiers.
        counts: What all calls came to.
    """

    def __init__(self, books: Books, sessions: Sessions, counts: Counts) -> None:
        self._books = books
        self._sessions = sessions
        self._counts = counts
        self._recalls = Recalls()

    async def settle(self, actor: Actor, call: Call) -> Answer:
        """Enters charges, applies closings and grants slices, in this order; raises `FIELD_INVALID`.

        Ids of sessions never come back: one that is over before the transaction stays so. One that
        ends meanwhile may be granted something, which nobody spends, and which is set aside as all
        its slices are.
        """
        check(call)
        named = {one.session_id for one in call.closings} | {call.session_id}
        owners = await self._sessions.callers_of(named)
        mine = {one for one, owner in owners.items() if owner == actor.caller.id}

        async def work(posting: Posting) -> tuple[Answer, Counts]:
            settlement = await open_settlement(posting, actor, call, mine, self._recalls)
            return await settlement.run(call), settlement.counts

        answer, counts = await self._books.post(work)
        self._counts.add(counts)
        return answer
