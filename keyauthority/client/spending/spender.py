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
import secrets
from collections.abc import Coroutine
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

from keyauthority.base.process.clocks import boottime
from keyauthority.client.spending.accounts import CREDITS, Accounts
from keyauthority.client.spending.backlog import Backlog
from keyauthority.client.spending.calling import CallFailed, Calling
from keyauthority.client.spending.counters import Counters
from keyauthority.client.spending.ends import Ends
from keyauthority.client.spending.holding import Desk, Holding, Spending
from keyauthority.client.spending.price_table import SUBJECT, Prices
from keyauthority.client.spending.records import SpoolError
from keyauthority.client.spending.request import (
    AllHeld,
    OutOfCredits,
    Request,
    SpendingUnavailable,
)
from keyauthority.client.spending.settling import Settling
from keyauthority.client.spending.spool import Spool, SpoolState
from keyauthority.client.spending.workspace import Waiter, WorkspaceCredits
from keyauthority.client.verifier import Verifier
from keyauthority.domain.verdicts import VerifiedKey
from keyauthority.escrow.purse import Hold
from keyauthority.escrow.slices import at_least
from keyauthority.pricing.amounts import LARGEST_AMOUNT
from keyauthority.pricing.prices import Price, PriceTable

MOST_WAITING: Final = 10_000
"""Requests that wait for credits at a time; more are refused."""

PATIENCE: Final = 1.2
"""Seconds, or three fifths of the timeout if that is less, in which a request waits while others hold
everything. Credits that lie idle at others are back by then: the authority recalls them once a second,
and two more calls are made after that."""

SPOOLED_WITHIN: Final = 2.0
SETTLED_WITHIN: Final = 3.0
"""Seconds at the end for writing down the ends of holds, and for the last calls."""

LOOKS: Final = 1.0
"""Seconds from one look at what idles to the next."""


class Spender:
    """Spends credits; an async context manager, over an entered `Verifier` that caches.

    A verifier has one spender at a time. What requests cost is in the spool until the authority has
    it: whatever becomes of this process, the next one over the same folder brings it.

    Args:
        verifier: Whose session and lease the credits are spent under.
        spool: The folder of the spools, on a disk that outlives the process. Processes share it.
        timeout: Seconds in which a hold, or a price, has to come.
        archive_bytes: What the spool may keep of charges that the authority has; None: all of three days.
    """

    def __init__(
        self,
        verifier: Verifier,
        spool: Path,
        *,
        timeout: float = 2.0,
        archive_bytes: int | None = None,
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
        self._accounts = Accounts(verifier, boottime)
        self._closing = False
        self._waiting = 0
        self._prefix = secrets.token_hex(16)
        self._numbers = count()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Raises `SpoolError` if no spool can be made."""
        self._accounts.open()
        try:
            self._spool = Spool(self._folder, archive_bytes=self._archive_bytes)
        except SpoolError:
            self._accounts.retire()
            raise
        calling = self._calling = Calling(self._verifier.connection, self._timeout, self.counters)
        self._ends = Ends(self._spool, self._ended, self.counters)
        self._backlog = Backlog(
            self._spool,
            self._accounts,
            calling,
            self.counters,
            self._newer_epoch,
            boottime,
        )
        self._settling = Settling(
            self._accounts,
            self._spool,
            calling,
            self.counters,
            self._newer_epoch,
            self._backlog,
            boottime,
        )
        self._prices = Prices(self._verifier, calling, self._timeout)
        self._desk = Desk(
            self._try_extend,
            self._extend,
            self._ends.void,
            self._ends.charge,
            self._ends.dropped,
        )
        self._verifier.listeners.append(self._changed)
        self._spawn(self._backlog.run())
        self._spawn(self._prices.run())
        self._spawn(self._look())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing = self._accounts.closing = True
        for workspace in self._accounts:
            workspace.refuse_all(SpendingUnavailable("stopping"))
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._ends.finish(SPOOLED_WITHIN)
            self._accounts.close_all()
            await self._settling.finish(boottime() + SETTLED_WITHIN)
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
        if workspace is None or workspace.waiters or not self._verifier.lease_held:
            return None
        hold = self._take(workspace, amount)
        if hold is None:
            return None
        self.counters.taken += 1
        return self._begin(workspace, hold, key, request)

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
        return Holding(self._held(key, min(amount, LARGEST_AMOUNT), request, max(least, 1)))

    async def check(self, key: VerifiedKey) -> None:
        """Returns if there are credits for a request of *key* now, without holding any for it.

        Raises `OutOfCredits`, `AllHeld`, `SpendingUnavailable`, as `hold` does.
        """
        workspace = self._accounts.of(key.workspace_id)
        hold = None
        if not workspace.waiters and self._verifier.lease_held:
            hold = self._take(workspace, 1)
        if hold is None:
            hold = await self._wait(workspace, 1, 1)
        # No request goes by it, so it is written nowhere.
        workspace.void(hold)
        self._ended(workspace, charged=False)

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
        if spending is not None:
            return spending
        workspace = self._accounts.of(key.workspace_id)
        hold = await self._wait(workspace, amount, least) if amount else Hold()
        return self._begin(workspace, hold, key, request)

    def _take(self, workspace: WorkspaceCredits, amount: int) -> Hold | None:
        hold = workspace.take(amount, self._verifier.session_id)
        if workspace.is_low:
            self._settling.prompt(workspace)
        return hold

    def _begin(
        self, workspace: WorkspaceCredits, hold: Hold, key: VerifiedKey, request: Request
    ) -> Spending:
        reference = f"{self._prefix}{next(self._numbers):x}"
        try:
            self._spool.hold(
                reference,
                workspace.id,
                hold.parts,
                key_id=key.id,
                model=request.model,
                path=request.path,
                request_id=request.request_id,
                price_id=request.price_id,
            )
        except SpoolError as error:
            workspace.void(hold)
            self.counters.unavailable += 1
            raise SpendingUnavailable(str(error)) from None
        self.counters.holds += 1
        workspace.holds += 1
        return Spending(self._desk, workspace, hold, reference, key.id, request)

    async def _wait(
        self, workspace: WorkspaceCredits, amount: int, least: int, *, extends: bool = False
    ) -> Hold:
        if self._closing or self._waiting >= MOST_WAITING:
            self.counters.unavailable += 1
            raise SpendingUnavailable("stopping" if self._closing else "too many requests wait")
        patience = boottime() + min(PATIENCE, self._timeout * 0.6)
        future: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()
        waiter = Waiter(amount, least, patience, future, extends)
        self._waiting += 1
        workspace.wait(waiter)
        self._settling.prompt(workspace)
        try:
            async with asyncio.timeout(self._timeout):
                return await future
        except TimeoutError:
            self._give_back(workspace, future)
            self.counters.unavailable += 1
            raise SpendingUnavailable("no word on the credits in time") from None
        except OutOfCredits:
            self.counters.out_of_credits += 1
            raise
        except AllHeld:
            self.counters.all_held += 1
            raise
        except BaseException:
            self._give_back(workspace, future)
            raise
        finally:
            self._waiting -= 1
            workspace.leave(waiter)

    def _give_back(self, workspace: WorkspaceCredits, future: asyncio.Future[Hold]) -> None:
        # Whoever waited has left in the moment in which it was given something.
        if future.done() and not future.cancelled() and future.exception() is None:
            workspace.void(future.result())
            self._ended(workspace, charged=False)

    def _try_extend(self, spending: Spending, amount: int) -> bool:
        at_least(0, amount=amount)
        if spending.ended or not self._verifier.lease_held:
            return False
        hold = self._take(spending.workspace, amount)
        if hold is None:
            return False
        self._add(spending, hold)
        return True

    async def _extend(self, spending: Spending, amount: int, least: int) -> None:
        if not spending.ended and not self._try_extend(spending, amount):
            hold = await self._wait(
                spending.workspace, min(amount, LARGEST_AMOUNT), max(least, 1), extends=True
            )
            self._add(spending, hold)

    def _add(self, spending: Spending, hold: Hold) -> None:
        if spending.ended:
            spending.workspace.void(hold)
            return
        parts = spending.hold.extended(hold)
        try:
            self._spool.extend(spending.reference, parts)
        except SpoolError as error:
            spending.workspace.void(hold)
            self.counters.unavailable += 1
            raise SpendingUnavailable(str(error)) from None
        spending.hold.parts = parts

    def _ended(self, workspace: WorkspaceCredits, charged: bool) -> None:
        if workspace.waiters and self._accounts.is_leased:
            workspace.serve(self._accounts.session_id)
        if charged or workspace.has_news:
            self._settling.note(workspace, charged)

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
            await asyncio.sleep(LOOKS)
            now = boottime()
            for workspace in self._accounts:
                if workspace.look(now):
                    self._settling.prompt(workspace)
            self._accounts.forget_idle()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))
