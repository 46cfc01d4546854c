"""Requests of one workspace that wait for credits, and who gets what there is.

Those who wait are told by their futures. Time, words and amounts are arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from keyauthority.client.spending.request import AllHeld, OutOfCredits
from keyauthority.escrow.slices import SliceKey, Word


@dataclass(slots=True, eq=False)
class Waiter:
    """A request that waits for `amount`, or if there is less, for `least` at least.

    Its `future` gets what is held for it, or why nothing is. While others hold everything it waits
    until `patience`, a time. One that `extends` a hold stands before those that are to begin: what runs
    has cost something already, and is cut off without it.
    """

    amount: int
    least: int
    patience: float
    future: asyncio.Future[dict[SliceKey, int]]
    extends: bool = False
    number: int = 0


class Line:
    """Who waits for credits of a workspace.

    Args:
        hold: Holds so much, of what is free, for one who waits.
    """

    def __init__(self, hold: Callable[[Waiter, int], None]) -> None:
        self.waiters: dict[int, Waiter] = {}
        """By the order of their arrival."""
        self._hold = hold
        self._arrived = 0
        # The last request that had arrived when the call was sent for the first time.
        self._covered = 0

    def join(self, waiter: Waiter) -> None:
        """Takes in a request that waits."""
        self._arrived += 1
        waiter.number = self._arrived
        self.waiters[waiter.number] = waiter

    def leave(self, waiter: Waiter) -> None:
        """The request waits no more."""
        self.waiters.pop(waiter.number, None)

    def refuse_all(self, reason: Exception) -> None:
        """Refuses all who wait."""
        for waiter in self.waiters.values():
            if not waiter.future.done():
                waiter.future.set_exception(reason)
        self.waiters.clear()

    def asked(self) -> int:
        """Returns what all who wait need; the call for it is sent now for the first time."""
        self._covered = self._arrived
        return sum(one.amount for one in self.waiters.values() if not one.future.done())

    def serve(self, free: int) -> None:
        """Gives what is *free* to those who wait, in their order."""
        for waiter in self._in_order():
            if not waiter.future.done():
                if waiter.amount > free:
                    return
                free -= waiter.amount
                self._hold(waiter, waiter.amount)
            self.leave(waiter)

    def answered(self, spendable: int, beside: int, word: Word | None, now: float) -> bool:
        """Gives what is *spendable* to those for whom the authority's word is, or refuses them.

        Args:
            spendable: What may be given.
            beside: What is free besides, and may not.
            word: Why there is less than was needed; None if there is not.
            now: The time.

        Returns whether anybody was given something.
        """
        served = False
        for waiter in [one for one in self._in_order() if one.number <= self._covered]:
            amount = waiter.amount
            if word is not None and amount > spendable >= waiter.least:
                amount = spendable
            if waiter.future.done():
                pass
            elif amount <= spendable:
                spendable -= amount
                self._hold(waiter, amount)
                served = True
            elif word is Word.OUT and not spendable + beside:
                waiter.future.set_exception(OutOfCredits())
            elif word is not None and now >= waiter.patience:
                waiter.future.set_exception(AllHeld())
            else:
                # Nobody overtakes it.
                break
            self.leave(waiter)
        return served

    def _in_order(self) -> list[Waiter]:
        # Those who extend, then the others, each by their arrival.
        return sorted(self.waiters.values(), key=lambda one: not one.extends)
