"""Hints of changes, a little sooner than polling finds them."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final

from keyauthority.base.process.tasks import background
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.outages import FAILURES
from keyauthority.base.relational.primary import CONNECT, Primary
from keyauthority.domain.sessions import Head
from keyauthority.storage.postgres.link import primary_of
from keyauthority.storage.postgres.statements import CHANNEL

Changed = Callable[[Head | None], None]
"""Hears of a head that was committed; of None when there may be one."""

HEARTBEAT: Final = 2.0
"""Seconds between two proofs of life: a connection that only listens does not notice by itself
that its server or network is gone.
"""

SHORTEST: Final = 0.1
LONGEST: Final = 5.0
"""Seconds between attempts to connect: at first, and at most."""

_HEAD: Final = re.compile(r"(\d{1,19}):(\d{1,19})").fullmatch


def listening(
    url: PostgresUrl,
    changed: Changed,
    heartbeat: float = HEARTBEAT,
    proof: float = CONNECT,
) -> AbstractAsyncContextManager[None]:
    """Calls *changed* for what processes commit, while the context lasts.

    While the connection is down there are no hints, and nothing fails. The listener has a connection
    of its own, and opens a new one when it breaks, or gives no proof of life within *proof* seconds,
    every *heartbeat* seconds.
    """
    return background(_listen(primary_of(url), changed, heartbeat, proof))


async def _listen(
    primary: Primary,
    changed: Changed,
    heartbeat: float,
    proof: float,
) -> None:
    pause = SHORTEST
    while True:
        with suppress(*FAILURES):
            driver = await primary.connect()
            try:
                await driver.add_listener(CHANNEL, lambda *hint: changed(_head(hint[-1])))
                pause = SHORTEST
                # There may have been changes before it listened.
                changed(None)
                await _until_dead(driver, heartbeat, proof)
            finally:
                # Other hosts are tried first: this one may have fallen silent.
                primary.distrust(driver)
                driver.terminate()
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  # no secret
        pause = min(2 * pause, LONGEST)


def _head(payload: str) -> Head | None:
    # Other versions say nothing, or something else.
    match = _HEAD(payload)
    return Head(int(match[1]), int(match[2])) if match else None


async def _until_dead(driver: Any, heartbeat: float, proof: float) -> None:
    gone = asyncio.Event()
    driver.add_termination_listener(lambda _: gone.set())
    while not gone.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), heartbeat)
        await driver.execute("SELECT 1", timeout=proof)
