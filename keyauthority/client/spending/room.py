"""What one call has room for: the limits of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self, TypeVar

from keyauthority.escrow.slices import SliceKey

MOST: Final = 500
"""Charges in a call, closings, and slices."""

MOST_HOLDS: Final = 5_000
"""Holds of all charges in a call."""

MOST_SESSIONS: Final = 400
"""Sessions that these name. The contract has 500 with those of the closings, which are of this process."""


class Held(Protocol):
    """A charge, for which something was held in slices."""

    @property
    def parts(self) -> Mapping[SliceKey, int]:
        """What was held, by slice."""


One = TypeVar("One", bound=Held)


@dataclass(frozen=True, slots=True)
class Room:
    """How many charges may be added, and holds of these."""

    charges: int = MOST
    holds: int = MOST_HOLDS
    sessions: frozenset[str] = frozenset()

    def first(self, charges: Iterable[One]) -> list[One]:
        """Returns those of *charges* that there is room for, up to the first that there is none for."""
        fitting: list[One] = []
        left, holds, sessions = self.charges, self.holds, set(self.sessions)
        for charge in charges:
            left -= 1
            for session_id, _ in charge.parts:
                holds -= 1
                sessions.add(session_id)
            if left < 0 or holds < 0 or len(sessions) > MOST_SESSIONS:
                break
            fitting.append(charge)
        return fitting

    def less(self, charges: Sequence[Held]) -> Self:
        """Returns what is left with *charges* added."""
        named = [session_id for charge in charges for session_id, _ in charge.parts]
        return type(self)(
            self.charges - len(charges), self.holds - len(named), self.sessions.union(named)
        )

    @property
    def is_enough(self) -> bool:
        """Whether no limit has been passed."""
        return self.charges >= 0 and self.holds >= 0 and len(self.sessions) <= MOST_SESSIONS


WHOLE: Final = Room()
"""What a call has room for that has no charge yet."""
