"""How long the leases of one session may last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a session is granted, and what may be in force of what it was granted.

    `lease` is the longest that is granted from now on; None: as long as the terms say. `in_force` is
    the longest that may not be over yet, never less than `lease`; None: as long as any. `number`
    tells one allowance from all others that the session ever had.
    """

    lease: timedelta | None = None
    in_force: timedelta | None = None
    number: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing longer is in force than is granted."""
        return self.lease == self.in_force

    def granted(self, lease: timedelta) -> timedelta:
        """How long a lease is, where the terms say *lease*."""
        return lease if self.lease is None else min(self.lease, lease)

    def longest(self, longest_lease: timedelta) -> timedelta:
        """The longest lease in force, where the terms say *longest_lease* of all."""
        return longest_lease if self.in_force is None else min(self.in_force, longest_lease)


WHOLE: Final = Allowance()
"""That of a session whose leases are as long as the terms say."""
