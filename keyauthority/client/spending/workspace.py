"""What a verifier has of one workspace's credits, and what is to be said of it.

It makes no call and reads no clock: time, words and amounts are arguments. `escrow.purse` has the rules
of slices, `line` who gets what is granted; here stands when the authority is asked, and for how much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keyauthority.client.spending.demand import Demand
from keyauthority.client.spending.line import Line, Waiter
from keyauthority.client.spending.records import SpooledCharge
from keyauthority.client.spending.room import MOST, WHOLE, Room
from keyauthority.escrow.purse import Call, Purse, SliceNumbers
from keyauthority.escrow.slices import SliceClosing, SliceKey, Word
from keyauthority.pricing.amounts import LARGEST_AMOUNT

BUSY_PAUSE: Final = 0.1
"""Seconds from the word that others hold everything, or all but too little, to the next call."""

OUT_PAUSE: Final = 0.02
"""Seconds from the word that nothing is there to the next call: those who come meanwhile share it."""


@dataclass(slots=True, eq=False)
class Part:
    """What a message says of one workspace, and what it asks."""

    workspace: WorkspaceCredits
    charges: list[SpooledCharge]
    closings: list[tuple[Purse, SliceClosing]]
    purse: Purse | None = None
    call: Call | None = None


class WorkspaceCredits:
    """One workspace, as one verifier has it.

    Args:
        workspace_id: The workspace's id.
        demand: What is taken of it.
        numbers: Those of its slices.
    """

    __slots__ = (
        "_call", "_charges", "_numbers", "_purses", "_release", "demand", "holds", "id", "line",
        "not_before", "purse", "under_way",
    )  # fmt: skip

    def __init__(self, workspace_id: str, demand: Demand, numbers: SliceNumbers) -> None:
        self.id = workspace_id
        self.demand = demand
        self.line = Line(self._hold)
        self.purse: Purse | None = None
        """That of the current session; None before it was needed."""
        self.holds = 0
        """Requests that have not ended, whether or not something is held for them."""
        self.under_way = False
        """Whether a message about it is."""
        self.not_before = 0.0
        """When the next call may be made."""
        self._numbers = numbers
        self._purses: dict[str, Purse] = {}
        # Ended, synced, and not confirmed.
        self._charges: dict[str, SpooledCharge] = {}
        self._call: Call | None = None
        self._release = 0

    # --- spending

    def take(self, amount: int, session_id: str) -> dict[SliceKey, int] | None:
        """Holds *amount* out of the slice of the session, whose lease the caller has checked just now."""
        purse = self.purse
        if purse is None or purse.session != session_id:
            return None
        parts = purse.take(amount)
        if parts is not None:
            self.demand.note(amount, purse.free)
        return parts

    @property
    def is_low(self) -> bool:
        """Whether more is to be asked for before anybody has to wait."""
        return self.purse is not None and 0 < self.purse.free < self.demand.low

    def void(self, parts: Mapping[SliceKey, int]) -> None:
        """Ends a hold without a charge, once that is on the disk."""
        for purse in self._purses.values():
            purse.void(parts)

    def charge(self, charges: Sequence[SpooledCharge]) -> None:
        """Ends holds with charges, once these are on the disk."""
        for purse in self._purses.values():
            purse.charge(charges)
        for charge in charges:
            self._charges[charge.reference] = charge

    def close(self) -> None:
        """Never spends from the open slice again."""
        if self.purse is not None:
            self.purse.close()
        self._call = None
        self._release = 0

    def brings(self, reference: str) -> bool:
        """Whether this charge is brought from here until it is confirmed."""
        return reference in self._charges

    @property
    def free(self) -> int:
        """Nano-credits that are free."""
        return self.purse.free if self.purse is not None else 0

    @property
    def is_empty(self) -> bool:
        """Whether it may be forgotten."""
        purses = self._purses.values()
        idle = not (self.line.waiters or self.holds or self._charges or self.under_way)
        return idle and all(purse.is_empty for purse in purses)

    # --- messages

    @property
    def has_news(self) -> bool:
        """Whether something is to be said that nobody waits for: charges, closings, or to give back."""
        return bool(self._charges or self._release) or self.has_closings

    @property
    def has_closings(self) -> bool:
        """Whether a closed slice is to be said."""
        return any(purse.closings() for purse in self._purses.values())

    def part(
        self, session_id: str, room: Room, now: float, *, leased: bool, flush: bool
    ) -> Part | None:
        """Returns what to say of it, with as many charges as there is *room* for.

        None if that is nothing, or too much.

        Args:
            session_id: The living session; empty if none is known.
            room: What the message has room for, at least one charge.
            now: The time.
            leased: Whether the session's lease is in force.
            flush: Whether to say what nobody waits for, too.
        """
        purse = self._follow(session_id)
        if purse is not None and self._is_due(purse, now, leased=leased):
            if room.less(purse.charges).is_enough:
                return self._part(self._ask(purse, now, leased=leased), purse, room)
            if room != WHOLE:
                return None
            # A call has to bring all that it counts in: too much for one. The rest is brought before.
            flush = True
        part = self._part(None, None, room)
        return part if part.closings or (part.charges and flush) else None

    def confirmed(self, references: Collection[str]) -> None:
        """The authority has these charges, in the current epoch; or they are not brought from here."""
        for reference in references:
            self._charges.pop(reference, None)
        for purse in self._purses.values():
            purse.confirmed(references)

    def closed(self, closings: Iterable[tuple[Purse, SliceClosing]]) -> None:
        """The authority has applied *closings*."""
        for purse, closing in closings:
            purse.closed(closing)
        self._purses = {
            name: purse
            for name, purse in self._purses.items()
            if purse is self.purse or not purse.is_empty
        }

    def answered(self, part: Part, word: Word, granted: int, now: float, *, leased: bool) -> None:
        """Takes the answer to the call of *part*: gives, and refuses, to those whom it is for."""
        if part.purse is None or part.call is None:
            return
        stands = part.purse.answered(part.call, word, granted)
        if part.call is self._call:
            self._call = None
        if word is Word.PASSED:
            # The books may have no such workspace, and say so again.
            self.not_before = now + OUT_PAUSE
        if not stands:
            return
        self.demand.answered(part.call.request.want, granted, now)
        short = word is not Word.GRANTED or granted < part.call.request.need
        spendable = part.purse.free if leased else min(granted, part.purse.free)
        beside = part.purse.free - spendable
        served = self.line.answered(spendable, beside, word if short else None, now)
        if word is Word.OUT:
            self.not_before = now + OUT_PAUSE
        elif short and not served:
            self.not_before = now + BUSY_PAUSE

    def serve(self, session_id: str) -> None:
        """Gives what is free to those who wait, in their order, under a lease."""
        if self.purse is not None and self.purse.session == session_id:
            self.line.serve(self.purse.free)

    def look(self, now: float) -> bool:
        """Looks at what is needed and what idles; returns whether a message is due for that."""
        self.demand.look(now)
        purse = self.purse
        if purse is None or self.line.waiters:
            return False
        if not purse.free:
            # Else a workspace without credits would never be forgotten, and count as one that shares them.
            is_over = self.demand.is_over(purse.is_spent, now)
            if is_over:
                self.close()
            return is_over
        unneeded = self.demand.idle(purse.free, now)
        if unneeded and unneeded == purse.free:
            self.close()
        else:
            self._release = unneeded
        return unneeded > 0 or self.is_low

    # --- the rest is its own

    def _follow(self, session_id: str) -> Purse | None:
        if self.purse is None or self.purse.session != session_id:
            self.close()
            self.purse = None
            if session_id:
                self.purse = self._purses.get(session_id) or Purse(session_id, self._numbers)
                self._purses[session_id] = self.purse
        return self.purse

    def _is_due(self, purse: Purse, now: float, *, leased: bool) -> bool:
        if self._call is not None or (self.line.waiters and now >= self.not_before):
            return True
        return leased and (self.is_low or self._release > 0)

    def _ask(self, purse: Purse, now: float, *, leased: bool) -> Call:
        if self._call is not None:
            return self._call
        waiting = self.line.asked()
        if leased:
            need = max(waiting - purse.free, 0)
            want = max(2 * (self.demand.look(now) + waiting) - purse.free, need)
            release = min(self._release, purse.free) if not self.line.waiters else 0
            want = 0 if release else want
        else:
            need = want = waiting
            release = purse.free
        self._release = 0
        self.demand.is_over(False, now)
        self._call = purse.call(
            min(want, LARGEST_AMOUNT), min(need, LARGEST_AMOUNT), release=release
        )
        return self._call

    def _part(self, call: Call | None, purse: Purse | None, room: Room) -> Part:
        charges = self._sendable(room)
        closings: list[tuple[Purse, SliceClosing]] = []
        for one in self._purses.values():
            if one.has_closed:
                brought = {charge.reference for charge in charges}
                counted = [each for each in one.charges if each.reference in brought]
                closings += [(one, closing) for closing in one.closings(counted)]
        return Part(self, charges, closings[:MOST], purse, call)

    def _sendable(self, room: Room) -> list[SpooledCharge]:
        if self._call is None or self.purse is None:
            return room.first(self._charges.values())
        # First what the call counts in, all of which has to go with it.
        session = self.purse.session
        counted = [self._charges[one.reference] for one in self.purse.charges]
        others = [
            charge
            for charge in self._charges.values()
            if all(name != session for name, _ in charge.parts)
        ]
        return room.first(counted + others)

    def _hold(self, waiter: Waiter, amount: int) -> None:
        assert self.purse is not None  # noqa: S101 - something of it is free
        parts = self.purse.take(amount)
        assert parts is not None  # noqa: S101 - no more than is free
        self.demand.note(amount, self.purse.free)
        waiter.future.set_result(parts)
