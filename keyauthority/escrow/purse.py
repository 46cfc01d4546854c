"""A verifier's side: the slices of one workspace, what is free there, and what is held for whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from keyauthority.escrow.slices import SliceCall, SliceClosing, SliceKey, Word, at_least


def joined(parts: Mapping[SliceKey, int], more: Mapping[SliceKey, int]) -> dict[SliceKey, int]:
    """Returns what is held for a request by *parts*, and by *more* that was taken for it later."""
    both = dict(parts)
    for key, amount in more.items():
        both[key] = both.get(key, 0) + amount
    return both


# Not frozen: one is made for each request, and that would take three times as long.
@dataclass(slots=True)
class Charge:
    """What a request cost, and what had been held for it: to be sent until it is confirmed.

    `parts` is what was held, by its slices, the oldest first: perhaps of several sessions. It is never
    changed once a purse has it.
    """

    reference: str
    cost: int
    parts: Mapping[SliceKey, int]

    def __post_init__(self) -> None:
        """Raises `ValueError` if the cost is below zero."""
        if self.cost < 0:
            at_least(0, cost=self.cost)

    def taken(self) -> dict[SliceKey, int]:
        """What the cost takes of each slice, the oldest first."""
        left, taken = self.cost, {}
        for key, held in self.parts.items():
            if left:
                taken[key] = min(left, held)
                left -= taken[key]
        return taken


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """What is sent until it is answered, unchanged: of an open slice, with the charges counted in."""

    request: SliceCall
    charges: tuple[Charge, ...]


class SliceNumbers:
    """Numbers slices, from 1: of all purses that share it, in whatever workspace and session.

    No number comes twice, so a workspace whose purses are forgotten goes on above them.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """Returns the number of a new slice."""
        self._last += 1
        return self._last


class Purse:
    """The slices of one workspace for one session, each with the next of *numbers*.

    Only the one with the highest number is spent from, and only while it is open. Whoever calls
    `take` has checked in the same step that the session's lease is in force. What is held for a
    request may have parts in purses of several sessions: its end (`void`, `charge`) and the
    confirmation of its charge are told to all of them, and each takes its own part.
    """

    def __init__(self, session: str, numbers: SliceNumbers) -> None:
        self.session = session
        self.free = 0
        self.number = 0
        """That of the latest slice; 0 before the first."""
        self._numbers = numbers
        self._sequence = 0
        self._open = False
        # By slice: what is held, and what ended charges take that nobody has confirmed.
        self._held: dict[int, int] = {}
        self._charges: dict[str, Charge] = {}
        self._call: Call | None = None
        # What each closed slice was last told to keep; None before it was.
        self._closing: dict[int, int | None] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held, free, to be sent or to be said: it may be forgotten."""
        return not (self._open or self._held or self._charges or self._closing)

    @property
    def is_spent(self) -> bool:
        """Whether the open slice has nothing: it may be closed, and nobody misses it."""
        return self._open and self._call is None and not (self.free or self._held)

    @property
    def has_closed(self) -> bool:
        """Whether there are closed slices, of which there may be something to say."""
        return bool(self._closing)

    # --- spending

    def take(self, amount: int) -> dict[SliceKey, int] | None:
        """Holds *amount* for a request; None if less is free."""
        if amount > self.free:
            return None
        if not amount:
            return {}
        self.free -= amount
        self._held[self.number] = self._held.get(self.number, 0) + amount
        return {(self.session, self.number): amount}

    def void(self, parts: Mapping[SliceKey, int]) -> None:
        """Ends the hold of a request that was never sent, or that the upstream refused."""
        for (session, number), held in parts.items():
            if session == self.session:
                self._let_go(number, held)

    def charge(self, charges: Iterable[Charge]) -> None:
        """Ends holds of requests that cost something. To be called once that is on the disk."""
        for charge in charges:
            left = charge.cost
            for (session, number), held in charge.parts.items():
                taken = held if held < left else left  # noqa: FURB136 - a call of `min` costs as much as the rest
                left -= taken
                if session == self.session:
                    self._charges[charge.reference] = charge
                    if taken < held:
                        self._let_go(number, held - taken)

    def confirmed(self, references: Iterable[str]) -> None:
        """The authority has entered these charges, or knew them. Others are ignored."""
        for reference in references:
            charge = self._charges.pop(reference, None)
            if charge is None:
                continue
            left = charge.cost
            for (session, number), held in charge.parts.items():
                taken = min(left, held)
                left -= taken
                if session == self.session:
                    self._lower(number, taken)

    @property
    def charges(self) -> list[Charge]:
        """What may be sent now, of what is not confirmed.

        While a call is under way that is only what it counts in: another charge could arrive before
        it and lower the slice to what the call keeps, so that what the call gives back would be lost.
        """
        if self._call is None:
            return list(self._charges.values())
        return [one for one in self._call.charges if one.reference in self._charges]

    def _let_go(self, number: int, amount: int) -> None:
        self._lower(number, amount)
        if number == self.number and self._open:
            self.free += amount

    def _lower(self, number: int, amount: int) -> None:
        if not amount:
            return
        self._held[number] -= amount
        if not self._held[number]:
            del self._held[number]

    # --- calls

    def call(self, want: int, need: int, *, release: int = 0) -> Call:
        """Returns the call to send: the one under way unchanged, else one that asks for so much.

        It gives back *release* of what is free. What is not confirmed counts in: each of it may have
        been sent before, so that none of it is kept. `charges` go with the call.
        """
        if self._call is None:
            if not self._open:
                self.number = self._numbers.next()
                self._sequence = 0
                self._open = True
            self._sequence += 1
            self.free -= release
            charges = tuple(self._charges.values())
            keep = self.free + self._kept(self.number, charges)
            request = SliceCall(self.number, self._sequence, keep, want, need)
            self._call = Call(request, charges)
        return self._call

    def answered(self, call: Call, word: Word, granted: int) -> bool:
        """Takes the answer to *call*; False if it comes for a slice that was closed meanwhile."""
        if call is not self._call:
            return False
        self._call = None
        if word is Word.PASSED:
            self.close()
            return False
        self.free += granted
        return True

    def close(self) -> None:
        """Never spends from the open slice again: what is free there, or comes, goes back."""
        if self._open:
            self._open = False
            self._call = None
            self.free = 0
            self._closing[self.number] = None

    def closings(self, charges: Collection[Charge] = ()) -> list[SliceClosing]:
        """Returns what the authority has to hear of closed slices, in a call that brings *charges*."""
        keeps = {number: self._kept(number, charges) for number in self._closing}
        return [
            SliceClosing(number, keep)
            for number, keep in keeps.items()
            if keep != self._closing[number]
        ]

    def closed(self, closing: SliceClosing) -> None:
        """The authority has applied *closing*. What is empty is forgotten."""
        if closing.number not in self._closing:
            return
        self._closing[closing.number] = closing.keep
        if not closing.keep and closing.number not in self._held:
            del self._closing[closing.number]

    def _kept(self, number: int, charges: Collection[Charge]) -> int:
        # What a confirmed charge took is no longer held.
        unconfirmed = (charge for charge in charges if charge.reference in self._charges)
        taken = sum(charge.taken().get((self.session, number), 0) for charge in unconfirmed)
        return self._held.get(number, 0) - taken
