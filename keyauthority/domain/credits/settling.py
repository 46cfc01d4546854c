"""Serving verifiers that spend the credits of workspaces."""

from __future__ import annotations

from dataclasses import replace

from keyauthority.domain.books import Books, Posting
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.charging import ChargeState, Counts, is_valid
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

        A charge that breaks a limit is refused, and makes nothing else fail.

        Ids of sessions never come back: one that is over before the transaction stays so. One that
        ends meanwhile may be granted something, which nobody spends, and which is set aside as all
        its slices are.
        """
        check(call)
        refused = {index for index, one in enumerate(call.charges) if not is_valid(one)}
        valid = [one for index, one in enumerate(call.charges) if index not in refused]
        answer = await self._settle(actor, replace(call, charges=valid))
        self._counts.charges.update([ChargeState.REFUSED] * len(refused))
        states = iter(answer.charges)
        charges = [
            ChargeState.REFUSED if index in refused else next(states)
            for index in range(len(call.charges))
        ]
        return replace(answer, charges=charges)

    async def _settle(self, actor: Actor, call: Call) -> Answer:
        named = {one.session_id for one in call.closings} | {call.session_id}
        owners = await self._sessions.callers_of(named)
        mine = {one for one, owner in owners.items() if owner == actor.caller.id}

        async def work(posting: Posting) -> tuple[Answer, Counts]:
            settlement = await open_settlement(posting, actor, call, mine, self._recalls)
            return await settlement.run(call), settlement.counts

        answer, counts = await self._books.post(work)
        self._counts.add(counts)
        return answer
