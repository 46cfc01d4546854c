"""Strangers are refused at once while they are few, and ever later when they are many."""

from __future__ import annotations

import asyncio
import time

import pytest

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc.refusals import AT_ONCE, SECONDS, WAITING_PER_CONNECTION, Brake

FLOOD = "ipv4:10.6.6.6:1000"
HOME = "ipv4:10.0.0.1:1000"


async def test_a_flood_is_refused_at_its_pace() -> None:
    """No more in a while than there are turns in it; who comes by another connection is next."""
    brake, began = Brake(), time.monotonic()
    flood = [asyncio.create_task(brake.wait(FLOOD)) for _ in range(WAITING_PER_CONNECTION)]
    await asyncio.sleep(0)
    assert sum(task.done() for task in flood) == AT_ONCE
    await brake.wait(HOME)
    turns = 2 + (time.monotonic() - began) / SECONDS
    assert sum(task.done() for task in flood) <= AT_ONCE * turns
    assert not all(task.done() for task in flood)
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)


async def test_who_waits_is_bounded() -> None:
    """A connection's next one is told that there is no room."""
    brake = Brake()
    waiting = WAITING_PER_CONNECTION + AT_ONCE
    flood = [asyncio.create_task(brake.wait(FLOOD)) for _ in range(waiting)]
    await asyncio.sleep(0)
    with pytest.raises(KeyAuthorityError) as caught:
        await brake.wait(FLOOD)
    assert caught.value.reason is Reason.OVERLOADED
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    # Those who left hold up nobody.
    await asyncio.wait_for(brake.wait(HOME), 5)
