"""Lets requests wait until there are credits for them, for so long as they may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from keyauthority.client.spending.accounts import Accounts
from keyauthority.client.spending.counters import Counters
from keyauthority.client.spending.ends import Ends
from keyauthority.client.spending.line import Waiter
from keyauthority.client.spending.request import AllHeld, OutOfCredits, SpendingUnavailable
from keyauthority.client.spending.settling import Settling
from keyauthority.client.spending.workspace import WorkspaceCredits
from keyauthority.escrow.slices import SliceKey
from keyauthority.pricing.amounts import LARGEST_AMOUNT

MOST_WAITING: Final = 10_000
"""Requests that wait for credits at a time; more are refused."""

PATIENCE: Final = 1.2
"""Seconds, or three fifths of the timeout if that is less, in which a request waits while others hold
everything. Credits that lie idle at others are back by then: the authority recalls them once a second,
and two more calls are made after that."""


class Waiting:
    """The requests that wait, in the lines of all workspaces.

    Args:
        accounts: The workspaces.
        settling: Asks for what they wait for.
        ends: What has ended may leave it over.
        counters: Count those that are refused.
        now: The clock.
        timeout: Seconds after which one is refused.
    """

    def __init__(
        self,
        accounts: Accounts,
        settling: Settling,
        ends: Ends,
        counters: Counters,
        now: Callable[[], float],
        timeout: float,
    ) -> None:
        self.count = 0
        """How many wait."""
        self._accounts = accounts
        self._settling = settling
        self._ends = ends
        self._counters = counters
        self._now = now
        self._timeout = timeout

    async def wait(
        self, workspace: WorkspaceCredits, amount: int, least: int, *, extends: bool = False
    ) -> dict[SliceKey, int]:
        """Returns what is held for a request: *amount*, or if less is left, at least *least*.

        Raises `OutOfCredits`, `AllHeld`, `SpendingUnavailable`.
        """
        if self._accounts.closing or self.count >= MOST_WAITING:
            self._counters.unavailable += 1
            raise SpendingUnavailable(
                "stopping" if self._accounts.closing else "too many requests wait"
            )
        patience = self._now() + min(PATIENCE, self._timeout * 0.6)
        future: asyncio.Future[dict[SliceKey, int]] = asyncio.get_running_loop().create_future()
        waiter = Waiter(min(amount, LARGEST_AMOUNT), max(least, 1), patience, future, extends)
        self.count += 1
        workspace.line.join(waiter)
        self._ends.hurry()
        self._settling.prompt(workspace)
        try:
            async with asyncio.timeout(self._timeout):
                return await future
        except TimeoutError:
            self._leave(workspace, future)
            self._counters.unavailable += 1
            raise SpendingUnavailable("no word on the credits in time") from None
        except OutOfCredits:
            self._counters.out_of_credits += 1
            raise
        except AllHeld:
            self._counters.all_held += 1
            raise
        except BaseException:
            self._leave(workspace, future)
            raise
        finally:
            self.count -= 1
            workspace.line.leave(waiter)

    def give_back(self, workspace: WorkspaceCredits, parts: dict[SliceKey, int]) -> None:
        """Gives back what was taken for a request that goes by nothing of it."""
        workspace.void(parts)
        self._settling.ended(workspace, 0)

    def _leave(
        self, workspace: WorkspaceCredits, future: asyncio.Future[dict[SliceKey, int]]
    ) -> None:
        # Whoever waited has left in the moment in which it was given something.
        if future.done() and not future.cancelled() and future.exception() is None:
            self.give_back(workspace, future.result())
