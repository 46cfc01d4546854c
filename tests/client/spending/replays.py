"""Confirms what comes again in a newer epoch."""

from __future__ import annotations

import asyncio

from keyauthority.client.spending.spool import Spool
from tests.client.spending.parts import references


async def replayed(spool: Spool, epoch: int) -> list[str]:
    """What comes in *epoch*, each confirmed once it is there."""
    seen: set[str] = set()
    charges = spool.unconfirmed(epoch)
    while charges or spool.replaying:
        seen.update(references(charges))
        spool.confirmed(references(charges), epoch)
        await asyncio.sleep(0.001)
        charges = spool.unconfirmed(epoch)
    return sorted(seen)
