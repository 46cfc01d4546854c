"""Brings charges of no open purse: of processes that died, and those that a restored ledger lost.

The spool has them. Those that the authority can't enter stay there, and are brought again slowly, by
their cost alone: what was held for them has gone back by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from keyauthority.client.spending.accounts import Accounts
from keyauthority.client.spending.calling import CallFailed, Calling
from keyauthority.client.spending.counters import Counters
from keyauthority.client.spending.messages import ENTERED, charges_message
from keyauthority.client.spending.pace import Pace
from keyauthority.client.spending.records import SpooledCharge, SpoolError
from keyauthority.client.spending.room import MOST, WHOLE
from keyauthority.client.spending.spool import Spool

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds: the pause after a call that failed, doubled each time up to the longest."""

log = logging.getLogger("keyauthority.client")

Slice = tuple[str, str, int]


class Backlog:
    """Brings the charges in *spool* that no workspace of *accounts* brings.

    Args:
        spool: Where they are.
        accounts: Whose charges are not brought here.
        calling: Makes the calls.
        counters: Count the charges.
        on_epoch: Called with an epoch that is newer than that of *accounts*.
        now: The clock.
        pace: When it looks for spools, and brings again what could not be entered.
    """

    def __init__(
        self,
        spool: Spool,
        accounts: Accounts,
        calling: Calling,
        counters: Counters,
        on_epoch: Callable[[int], None],
        now: Callable[[], float],
        pace: Pace,
    ) -> None:
        self._spool = spool
        self._accounts = accounts
        self._calling = calling
        self._counters = counters
        self._on_epoch = on_epoch
        self._now = now
        self._pace = pace
        # What could not be entered, and when it is brought again.
        self._refused: dict[str, float] = {}
        # Of processes that are gone: closed once their charges are entered.
        self._slices: dict[Slice, None] = {}
        self._due = asyncio.Event()
        spool.on_replayed = self.prompt

    def prompt(self) -> None:
        """Looks at once for what there is to bring."""
        self._due.set()

    def refused(self, references: Iterable[str]) -> None:
        """The authority could not enter these charges: brings them later, by their cost alone."""
        later = dict.fromkeys(references, self._now() + self._pace.retries)
        self._refused.update(later)
        self._spool.refused(later)

    def set_aside(self, references: Iterable[str]) -> None:
        """Brings these charges from now on, by their cost alone."""
        self._refused.update(dict.fromkeys(references, self._now()))
        self.prompt()

    async def run(self) -> None:
        """Adopts spools and brings charges, until cancelled."""
        while True:
            self._due.clear()
            try:
                await self._adopt()
                await self._bring_all()
            except SpoolError as error:
                log.error("spool_failed: %s", error)  # noqa: TRY400 - its text says all
            except Exception:  # the next round may succeed, whatever it was
                log.exception("backlog_failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.adopts):
                    await self._due.wait()

    async def _adopt(self) -> None:
        for charge in await self._spool.adopt():
            for session_id, number in charge.parts:
                self._slices[charge.workspace_id, session_id, number] = None

    async def _bring_all(self) -> None:
        pause = FIRST_PAUSE
        while True:
            charges = self._charges()
            if not charges and not self._slices:
                return
            try:
                await self._bring(charges)
                pause = FIRST_PAUSE
            except CallFailed as failure:
                log.warning("charges_not_brought: %s", failure)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _charges(self) -> list[SpooledCharge]:
        now = self._now()
        unconfirmed = self._spool.unconfirmed(self._accounts.epoch)
        names = {one.reference for one in unconfirmed}
        self._refused = {name: at for name, at in self._refused.items() if name in names}
        return [one for one in unconfirmed if self._is_to_bring(one, now)]

    def _is_to_bring(self, charge: SpooledCharge, now: float) -> bool:
        if self._refused.get(charge.reference, now) > now:
            return False
        workspace = self._accounts.find(charge.workspace_id)
        return workspace is None or not workspace.brings(charge.reference)

    async def _bring(self, charges: list[SpooledCharge]) -> None:
        left = [self._as_brought(charge) for charge in charges]
        while batch := WHOLE.first(left) or left[:1]:
            await self._bring_batch(batch)
            left = left[len(batch) :]
        while slices := list(self._slices)[:MOST]:
            await self._calling.settle(charges_message([], slices))
            for one in slices:
                del self._slices[one]

    def _as_brought(self, charge: SpooledCharge) -> SpooledCharge:
        return replace(charge, parts={}) if charge.reference in self._refused else charge

    async def _bring_batch(self, charges: list[SpooledCharge]) -> None:
        try:
            reply = await self._calling.settle(charges_message(charges))
        except CallFailed as failure:
            if not failure.was_invalid:
                raise
            await self._bring_apart(charges)
            return
        if reply.epoch < self._accounts.epoch:
            raise CallFailed("the books went back")
        states = [answer.state for answer in reply.charges]
        answers = list(zip(charges, states, strict=True))
        entered = [one for one, state in answers if state in ENTERED]
        self._spool.confirmed([one.reference for one in entered], reply.epoch)
        self._counters.charges += len(entered)
        self._counters.estimated += sum(one.estimated for one in entered)
        others = [one.reference for one, state in answers if state not in ENTERED]
        self._counters.refused_charges += len(others)
        self.refused(others)
        if reply.epoch > self._accounts.epoch:
            self._on_epoch(reply.epoch)

    async def _bring_apart(self, charges: list[SpooledCharge]) -> None:
        # Among them is one that the authority does not take.
        if len(charges) == 1:
            log.error("charge_refused: %s", charges[0].reference)
            self.refused([charges[0].reference])
            return
        half = len(charges) // 2
        await self._bring_batch(charges[:half])
        await self._bring_batch(charges[half:])
