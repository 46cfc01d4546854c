"""What a change waits for before its caller is told that it is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the fence tells the caller: see the contract's `Receipt`."""

    revision: int
    sessions_acknowledged: int = 0
    leases_waited_out: int = 0
    waited: timedelta = timedelta()


class Unfenced:
    """`Fence` of who has no verifiers to wait for: at a start, and after a restore, which waits itself."""

    async def wait(self, revision: int) -> Receipt:
        return Receipt(revision)
