"""One request's hold, from when it is let through until what it cost is known."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping
from typing import Any, Final, Protocol

from keyauthority.client.spending.ends import Ends
from keyauthority.client.spending.records import SpooledCharge
from keyauthority.client.spending.workspace import WorkspaceCredits
from keyauthority.escrow.slices import SliceKey, at_least
from keyauthority.pricing.amounts import LARGEST_AMOUNT


class Desk(Protocol):
    """Where holds are extended and ended."""

    ends: Ends

    def try_extend(self, spending: Spending, amount: int) -> bool:
        """Holds *amount* more if that needs no call; returns whether it does."""

    async def extend(self, spending: Spending, amount: int, least: int) -> None:
        """Holds *amount* more, or what is left, if that is at least *least*."""


class Spending:
    """What is held for one request.

    It is ended once, by `void` or `charge`: the first counts. One that is dropped without an end, by
    an exception or a cancelled task, is charged as held, estimated: nobody knows what became of it.
    """

    __slots__ = ("_charge", "_desk", "ended", "workspace")

    def __init__(self, desk: Desk, workspace: WorkspaceCredits, charge: SpooledCharge) -> None:
        self._desk: Final = desk
        self.workspace: Final = workspace
        # As it is held, until it ends.
        self._charge: Final = charge
        self.ended = False
        """Whether `void` or `charge` was called."""

    def __repr__(self) -> str:
        return f"Spending({self.reference}, {self.amount})"

    def __del__(self) -> None:
        if not self.ended:
            self.ended = True
            self._desk.ends.dropped(self.workspace, self._charge)

    @property
    def reference(self) -> str:
        """The name of the charge that it becomes, which nobody else knows before."""
        return self._charge.reference

    @property
    def parts(self) -> Mapping[SliceKey, int]:
        """What is held, by slice, the oldest first."""
        return self._charge.parts

    @property
    def amount(self) -> int:
        """What is held, in nano-credits."""
        return sum(self._charge.parts.values())

    def extended(self, parts: Mapping[SliceKey, int]) -> None:
        """Holds *parts* from now on, all of them, which are written down."""
        self._charge.parts = parts
        self._charge.cost = min(sum(parts.values()), LARGEST_AMOUNT)

    def try_extend(self, amount: int) -> bool:
        """Holds *amount* more if that needs no call; returns whether it does.

        Raises `SpendingUnavailable` if that can't be written down.
        """
        return self._desk.try_extend(self, amount)

    async def extend(self, amount: int, *, least: int = 1) -> None:
        """Holds *amount* more; if less is left, what is left, if that is at least *least*.

        Raises `OutOfCredits`, `AllHeld`, `SpendingUnavailable`; then it holds what it held before.
        """
        await self._desk.extend(self, amount, least)

    def void(self) -> None:
        """Ends it without a charge: nothing was sent, or the upstream refused. Returns at once."""
        if not self.ended:
            self.ended = True
            self._desk.ends.void(self.workspace, self._charge)

    def charge(
        self,
        cost: int,
        *,
        counts: Mapping[str, int] | None = None,
        status: int = 0,
        estimated: bool = False,
    ) -> None:
        """Ends it: the request cost *cost* nano-credits. Returns at once.

        Args:
            cost: What it cost, whether or not as much is held.
            counts: What it used, by class.
            status: The HTTP status of the answer; 0 if there was none.
            estimated: Whether the upstream told no usage.

        Raises:
            ValueError: The cost is below zero, or it or a count is no whole number, or a count is
                too large. It has not ended then.
        """
        used = {name: count for name, count in counts.items() if count > 0} if counts else {}
        if cost < 0:
            at_least(0, cost=cost)
        # What can't be sent would keep back the charges beside it.
        if type(cost) is not int:
            raise ValueError(f"a cost is a whole number, not {cost!r}")
        for count in used.values():
            if type(count) is not int or count > LARGEST_AMOUNT:
                raise ValueError(
                    f"a count is a whole number, {LARGEST_AMOUNT} at most, not {count!r}"
                )
        if not self.ended:
            self.ended = True
            charge = self._charge
            charge.cost = min(cost, LARGEST_AMOUNT)
            if used:
                charge.counts = used
            charge.status = status
            charge.estimated = estimated
            self._desk.ends.charge(self.workspace, charge)


class Holding:
    """A hold that is asked for: to be awaited, or entered, whose end charges what has no other end."""

    __slots__ = ("_asked", "_spending")

    def __init__(self, asked: Awaitable[Spending]) -> None:
        self._asked: Final = asked
        self._spending: Spending | None = None

    def __await__(self) -> Generator[Any, None, Spending]:
        return self._asked.__await__()

    async def __aenter__(self) -> Spending:
        self._spending = await self._asked
        return self._spending

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._spending is not None  # noqa: S101 - it was entered
        if not self._spending.ended:
            self._spending.charge(self._spending.amount, estimated=True)
