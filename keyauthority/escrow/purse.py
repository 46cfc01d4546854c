"""A verifier's side: the slices of one workspace, what is free there, and what is held for whom."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from keyauthority.escrow.slices import SliceCall, SliceClosing, SliceKey, Word, at_least


@dataclass(slots=True, eq=False)
class Hold:
    """What is held for one request, by its slices, the oldest first: perhaps of several sessions."""

    parts: dict[SliceKey, int] = field(default_factory=dict)

    @property
    def amount(self) -> int:
        """All of it."""
        return sum(self.parts.values())

    def extended(self, more: Hold) -> dict[SliceKey, int]:
        """Returns the parts of this hold and of *more*, which was taken for the same request later."""
        parts = dict(self.parts)
        for key, amount in more.parts.items():
            parts[key] = parts.get(key, 0) + amount
        return parts


# Not frozen: one is made for each request, and that would take three times as long.
@dataclass(slots=True)
class Charge:
    """What a request cost, and what had been held for it: to be sent until it is confirmed.

    It is never changed.
    """

    reference: str
    cost: int
    parts: dict[SliceKey, int]

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


class Purse:
    """The slices of one workspace for one session, with numbers above *after*.

    Only the one with the highest number is spent from, and only while it is open. Whoever calls
    `take` has checked in the same step that the session's lease is in force. A hold that was extended
    in a later session has parts in both purses: its end (`void`, `charge`) and the confirmation of its
    charge are told to both, and each takes its own part.
    """

    def __init__(self, session: str, after: int = 0) -> None:
        self.session = session
        self.free = 0
        self._number = after
        self._sequence = 0
        self._open = False
        # By slice: what is held, and what ended charges take that nobody has confirmed.
        self._held: dict[int, int] = {}
        self._charges: dict[str, Charge] = {}
        self._call: Call | None = None
        # What each closed slice was last told to keep; None before it was.
        self._closing: dict[int, int | None] = {}

    @property
    def number(self) -> int:
        """The highest number so far. The next purse of the session has to go on from there."""
        return self._number

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held, free, to be sent or to be said: it may be forgotten, its number not."""
        return not (self._open or self._held or self._charges or self._closing)

    @property
    def is_spent(self) -> bool:
        """Whether the open slice has nothing: it may be closed, and nobody misses it."""
        return self._open and self._call is None and not (self.free or self._held)

    # --- spending

    def take(self, amount: int) -> Hold | None:
        """Holds *amount* for a request; None if less is free."""
        if amount > self.free:
            return None
        if not amount:
            return Hold()
        self.free -= amount
        self._held[self._number] = self._held.get(self._number, 0) + amount
        return Hold({(self.session, self._number): amount})

    def void(self, hold: Hold) -> None:
        """Ends *hold* of a request that was never sent, or that the upstream refused."""
        for (session, number), held in hold.parts.items():
            if session == self.session:
                self._let_go(number, held)

    def charge(self, hold: Hold, reference: str, cost: int) -> Charge:
        """Ends *hold*: its request cost *cost*. To be called once that is on the disk."""
        charge = Charge(reference, cost, dict(hold.parts))
        left = cost
        for (session, number), held in hold.parts.items():
            taken = min(left, held)
            left -= taken
            if session == self.session:
                self._let_go(number, held - taken)
        self._charges[reference] = charge
        return charge

    def confirmed(self, reference: str) -> None:
        """The authority has entered the charge, or knew it."""
        charge = self._charges.pop(reference, None)
        if charge is not None:
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
        if number == self._number and self._open:
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
                self._number += 1
                self._sequence = 0
                self._open = True
            self._sequence += 1
            self.free -= release
            charges = tuple(self._charges.values())
            keep = self.free + self._kept(self._number, charges)
            request = SliceCall(self._number, self._sequence, keep, want, need)
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
            self._closing[self._number] = None

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
