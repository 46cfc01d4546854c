"""Spends the credits of workspaces, without a call for each request.

from pathlib import Path

from keyauthority.client import Request, Spender, Verifier

async with Verifier("localhost:50051", token=token) as verifier:
    async with Spender(verifier, Path("/var/lib/service/spool")) as spender:
        key = (await verifier.verify(presented)).key
        async with spender.hold(key, 2_000_000, Request("gpt-5", "/v1/x", "req_1")) as spending:
            answer = await call_upstream()
            spending.charge(answer.cost, status=200)  # without it: charged as held
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, Self

from keyauthority.base.process.clocks import boottime
from keyauthority.client.spending.accounts import CREDITS, Accounts
from keyauthority.client.spending.backlog import Backlog
from keyauthority.client.spending.calling import CallFailed, Calling
from keyauthority.client.spending.counters import Counters, SpoolState
from keyauthority.client.spending.desk import Desk
from keyauthority.client.spending.ends import Ends
from keyauthority.client.spending.holding import Holding, Spending
from keyauthority.client.spending.pace import USUAL, Pace
from keyauthority.client.spending.price_table import SUBJECT, Prices
from keyauthority.client.spending.records import SpoolError
from keyauthority.client.spending.request import Request, SpendingUnavailable
from keyauthority.client.spending.settling import Settling
from keyauthority.client.spending.spool import Spool
from keyauthority.client.spending.waiting import Waiting
from keyauthority.client.verifier import Verifier
from keyauthority.domain.verdicts import VerifiedKey
from keyauthority.escrow.slices import at_least
from keyauthority.pricing.prices import Price, PriceTable

SPOOLED_WITHIN: Final = 2.0
"""Seconds at the end for writing down the ends of holds."""


class Spender:
    """Spends credits; an async context manager, over an entered `Verifier` that caches.

    A verifier has one spender at a time. What requests cost is in the spool until the authority has
    it: whatever becomes of this process, the next one over the same folder brings it.

    Args:
        verifier: Whose session and lease the credits are spent under.
        spool: The folder of the spools, on a disk that outlives the process. Processes share it.
        timeout: Seconds in which a hold, or a price, has to come.
        archive_bytes: What the spool may keep of charges that the authority has; None: all of three days.
        pace: How often and how soon it does what nobody waits for.
    """

    def __init__(
        self,
        verifier: Verifier,
        spool: Path,
        *,
        timeout: float = 2.0,
        archive_bytes: int | None = None,
        pace: Pace = USUAL,
    ) -> None:
        """Raises `ValueError` if the verifier does not cache: it has no session then."""
        if not verifier.caches:
            raise ValueError(
                "credits are spent under a lease, which a verifier without cache has not"
            )
        self.counters = Counters()
        self._verifier = verifier
        self._folder = spool
        self._archive_bytes = archive_bytes
        self._timeout = timeout
        self._pace = pace
        self._accounts = Accounts(verifier, boottime, pace)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Raises `SpoolError` if no spool can be made."""
        accounts, counters, pace = self._accounts, self.counters, self._pace
        accounts.open()
        try:
            spool = self._spool = Spool(
                self._folder, segment_bytes=pace.segment_bytes, archive_bytes=self._archive_bytes
            )
        except SpoolError:
            accounts.retire()
            raise
        calling = self._calling = Calling(self._verifier.connection, self._timeout, counters)
        self._backlog = Backlog(
            spool, accounts, calling, counters, self._newer_epoch, boottime, pace
        )
        settling = self._settling = Settling(
            accounts, spool, calling, counters, self._newer_epoch, self._backlog, boottime, pace
        )
        self._prices = Prices(self._verifier, calling, self._timeout)
        self._ends = Ends(spool, settling.ended, counters)
        self._waiting = Waiting(accounts, settling, self._ends, counters, boottime, self._timeout)
        self._desk = Desk(self._verifier, spool, settling, self._waiting, self._ends, counters)
        self._verifier.listeners.append(self._changed)
        work = (self._backlog.run(), self._prices.run(), self._look())
        self._tasks = [asyncio.create_task(one) for one in work]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._accounts.closing = True
        for workspace in self._accounts:
            workspace.line.refuse_all(SpendingUnavailable("stopping"))
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._ends.finish(SPOOLED_WITHIN)
            self._accounts.close_all()
            await self._settling.finish(boottime() + self._pace.settled_within)
        finally:
            self._settling.end()
            self._verifier.listeners.remove(self._changed)
            self._accounts.retire()
            await self._spool.close()

    # --- prices

    def price(self, model: str, path: str) -> Price | None:
        """Returns the price of a request; None if there is none.

        Raises `SpendingUnavailable` if there is no price table that may be gone by now.
        """
        return self._prices.find(model, path)

    async def find_price(self, model: str, path: str) -> Price | None:
        """Returns the price of a request as `price` does, once there is a price table."""
        return await self._prices.wait(model, path)

    async def price_table(self) -> PriceTable:
        """Returns the prices of the requests that have arrived, once there is a table.

        Raises `SpendingUnavailable`.
        """
        return await self._prices.table()

    # --- credits

    def take(self, key: VerifiedKey, amount: int, request: Request) -> Spending | None:
        """Holds *amount* for a request of *key* if that needs no call; else None: ask `hold`.

        Raises `SpendingUnavailable` if that can't be written down, and `ValueError` if it is below zero.
        """
        if amount < 0:
            at_least(0, amount=amount)
        workspace = self._accounts.find(key.workspace_id)
        parts = None if workspace is None else self._desk.take(workspace, amount)
        if workspace is None or parts is None:
            return None
        self.counters.taken += 1
        return self._desk.begin(workspace, parts, key, request)

    def hold(self, key: VerifiedKey, amount: int, request: Request, *, least: int = 1) -> Holding:
        """Holds *amount* for a request of *key*; if less is left, what is left.

        To be awaited, or entered: then a hold without an end is charged as held when it is left.

        Args:
            key: What the request presented.
            amount: Nano-credits, 0 or more.
            request: What it is about.
            least: With less than that it is refused.

        Raises:
            OutOfCredits: The workspace has no credits left.
            AllHeld: It has, but running requests hold them, or have left less than *least*.
            SpendingUnavailable: No word could be had, or the spool can't be written.
            ValueError: The amount is below zero.
        """
        at_least(0, amount=amount)
        return Holding(self._held(key, amount, request, least))

    async def wait(
        self, key: VerifiedKey, amount: int, request: Request, *, least: int = 1
    ) -> Spending:
        """Holds *amount* as `hold` does, in its turn: for who had nothing by `take` in the same step."""
        at_least(0, amount=amount)
        workspace = self._accounts.of(key.workspace_id)
        parts = await self._waiting.wait(workspace, amount, least) if amount else {}
        return self._desk.begin(workspace, parts, key, request)

    async def check(self, key: VerifiedKey) -> None:
        """Returns if there are credits for a request of *key* now, without holding any for it.

        Raises `OutOfCredits`, `AllHeld`, `SpendingUnavailable`, as `hold` does.
        """
        workspace = self._accounts.of(key.workspace_id)
        parts = self._desk.take(workspace, 1)
        if parts is None:
            parts = await self._waiting.wait(workspace, 1, 1)
        # No request goes by it, so it is written nowhere.
        self._waiting.give_back(workspace, parts)

    async def available(self, workspace_id: str) -> int:
        """Returns the nano-credits of a workspace that stand in no slice, below zero if it owes.

        It decides nothing: what is free in slices may be spent as well. Raises `SpendingUnavailable`.
        """
        try:
            return await self._calling.available(workspace_id)
        except CallFailed as failure:
            raise SpendingUnavailable(f"no word on what is available: {failure}") from None

    # --- for metrics

    @property
    def free(self) -> int:
        """Nano-credits in slices that nobody holds."""
        return sum(workspace.free for workspace in self._accounts)

    @property
    def slices(self) -> int:
        """Workspaces of whose credits there is a slice to spend from."""
        return sum(workspace.free > 0 for workspace in self._accounts)

    @property
    def spooled(self) -> SpoolState:
        """What is in the spool."""
        return self._spool.state()

    # --- the rest is its own

    async def _held(self, key: VerifiedKey, amount: int, request: Request, least: int) -> Spending:
        spending = self.take(key, amount, request)
        return spending or await self.wait(key, amount, request, least=least)

    def _changed(self, subjects: frozenset[str] | None) -> None:
        # In the step that applies the change: before the authority hears of it, and before a new lease.
        if subjects is None:
            self._accounts.close_all()
            self._prices.drop()
            self._newer_epoch(self._verifier.epoch)
            for workspace in self._accounts:
                self._settling.prompt(workspace)
            return
        if SUBJECT in subjects:
            self._prices.drop()
        for subject in subjects:
            if subject.endswith(CREDITS):
                self._close(subject.removesuffix(CREDITS))

    def _close(self, workspace_id: str) -> None:
        workspace = self._accounts.find(workspace_id)
        if workspace is not None:
            workspace.close()
            self._settling.closed(workspace)

    def _newer_epoch(self, epoch: int) -> None:
        if epoch > self._accounts.epoch:
            self._accounts.newer(epoch)
            self._backlog.prompt()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._pace.looks)
            now = boottime()
            for workspace in self._accounts:
                if workspace.look(now):
                    self._settling.prompt(workspace)
            self._accounts.forget_idle()
