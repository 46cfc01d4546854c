"""Verifiers that spend, on the books themselves."""

from __future__ import annotations

import time
from typing import Any

from keyauthority.config import CHARGES_PER_SECOND
from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.charge_rates import ChargeRates
from keyauthority.domain.credits.charging import Charge, ChargeState, Counts
from keyauthority.domain.credits.entering import read_sheet, write_sheet
from keyauthority.domain.credits.reading import ReadingLedger
from keyauthority.domain.credits.releasing import Releasing
from keyauthority.domain.credits.settling import Settling
from keyauthority.domain.credits.spending import Answer, Call, Closing
from keyauthority.domain.ledger import Kind, Use
from keyauthority.domain.ports import Store
from keyauthority.domain.secrets import new_id
from keyauthority.domain.sessions import Claim
from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account, SliceCall, SliceClosing, Word
from keyauthority.replica.housekeeping import release_slices
from tests.conformance.records import a_caller, a_key, a_workspace
from tests.domain.parts import an_actor
from tests.transactions import changing, reading

BILLER = an_actor()


class Ledgers:
    """The books of one process of the authority, and what is asked of them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.books = Books(store, Unfenced())
        self.counts = Counts()
        rates = ChargeRates(CHARGES_PER_SECOND, time.monotonic)
        self.settling = Settling(self.books, store.sessions, rates, self.counts)

    async def begin(self, *workspace_ids: str) -> None:
        """Adds two callers, and of each workspace (`ws_1` is there) a key: `key of ws_1`."""
        async with changing(self.store) as tx:
            for caller_id in ("caller_1", "caller_2"):
                await tx.callers.insert(a_caller(caller_id))
            for one in workspace_ids:
                if one != "ws_1":
                    await tx.workspaces.insert(a_workspace(one))
                await tx.keys.insert(a_key(f"key of {one}", workspace_id=one))

    async def top_up(self, amount: int, workspace_id: str = "ws_1", **terms: Any) -> None:
        async with changing(self.store) as tx:
            sheet = await read_sheet(tx, workspace_id)
            grant = Grant(new_id("grant"), amount, tx.time, **terms)
            sheet.grant(grant, Kind.GRANT, new_id("purchase"), BILLER.signature)
            await write_sheet(tx, sheet)

    async def verifier(self, caller_id: str = "caller_1") -> Verifier:
        """Joins."""
        grant = await self.store.sessions.join(caller_id, "verifier", Claim(0, 0))
        return Verifier(self, caller_id, grant.session_id)

    async def account(self, workspace_id: str = "ws_1") -> Account:
        """What a workspace has, which must add up."""
        proof = await ReadingLedger(self.books).prove(BILLER, workspace_id)
        assert proof.faults == ()
        return proof.account

    async def revision(self) -> int:
        return (await self.store.snapshot(())).head.revision

    async def announced(self, after: int) -> list[str]:
        async with reading(self.store) as tx:
            return [subject for _, subject in await tx.feed.since(after, 100)]

    async def round(self) -> None:
        """One round of giving back what dead verifiers left."""
        await release_slices(Releasing(self.books, self.store.sessions))


class Verifier:
    """Says what the test has it say."""

    def __init__(self, ledgers: Ledgers, caller_id: str, session_id: str) -> None:
        self.process = ledgers
        self.session_id = session_id
        self.actor = Actor(a_caller(caller_id), "SpendingService.Settle", "192.0.2.1", "request-1")

    async def say(self, *said: Charge | Closing | tuple[str, SliceCall], **fields: Any) -> Answer:
        """One call."""
        call = Call(
            fields.get("session_id", self.session_id),
            [one for one in said if isinstance(one, Charge)],
            [one for one in said if isinstance(one, Closing)],
            [one for one in said if isinstance(one, tuple)],
        )
        return await self.process.settling.settle(self.actor, call)

    async def ask(
        self, want: int, need: int = 0, *, keep: int = 0, **fields: Any
    ) -> tuple[Word, int]:
        """Asks for credits; the word, and what is granted."""
        [answer] = (await self.say(self.asking(want, need, keep=keep, **fields))).slices
        return answer

    def asking(self, want: int, need: int = 0, *, keep: int = 0, **fields: Any) -> Any:
        """A call about slice 1 of `ws_1`, its first unless *fields* say otherwise."""
        numbers = fields.get("number", 1), fields.get("sequence", 1)
        return fields.get("workspace_id", "ws_1"), SliceCall(*numbers, keep, want, need)

    def charging(
        self, cost: int, held: int | None = None, name: str = "r", **fields: Any
    ) -> Charge:
        """What a request cost that held so much in slice 1."""
        workspace_id = fields.get("workspace_id", "ws_1")
        session_id = fields.get("session_id", self.session_id)
        parts = [] if held is None else [((session_id, fields.get("number", 1)), held)]
        use = Use(
            fields.get("key_id", f"key of {workspace_id}"),
            "gpt-5",
            held=held or 0,
            session_id=session_id,
            estimated=fields.get("estimated", False),
        )
        return Charge(name, workspace_id, cost, parts, use)

    async def charge(self, cost: int, held: int | None = None, **fields: Any) -> ChargeState:
        """Brings it."""
        [state] = (await self.say(self.charging(cost, held, **fields))).charges
        return state

    async def close(self, keep: int = 0, number: int = 1, **fields: str) -> None:
        """Closes a slice."""
        await self.say(self.close_of(keep, number, **fields))

    def close_of(self, keep: int, number: int = 1, workspace_id: str = "ws_1") -> Closing:
        """The closing of a slice, for a call of more."""
        return Closing(workspace_id, self.session_id, SliceClosing(number, keep))

    async def leave(self) -> None:
        await self.process.store.sessions.leave(self.session_id, self.actor.caller.id)
