"""Hearing of changes a little sooner than by asking."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.outages import FAILURES
from keyauthority.base.relational.primary import CONNECT, Primary
from keyauthority.storage.postgres.link import primary_of
from keyauthority.storage.postgres.statements import CHANNEL

HEARTBEAT: Final = 2.0
"""Seconds from one proof of life to the next: a connection that only listens notices by itself
neither a server nor a network that is gone.
"""

SHORTEST: Final = 0.1
LONGEST: Final = 5.0
"""Seconds between attempts to connect: at first, and at most."""

Callback = Callable[[], None]


@asynccontextmanager
async def listening(
    url: PostgresUrl, callback: Callback, heartbeat: float = HEARTBEAT, proof: float = CONNECT
) -> AsyncIterator[None]:
    """Calls *callback* when changes may have been made, while the context lasts.

    A hint and no more: while the connection is down nothing is heard, and nothing fails. It has a
    connection of its own, and makes a new one whenever it breaks, or gives no proof of life within
    *proof* seconds, every *heartbeat* seconds.
    """
    task = asyncio.create_task(_listen(primary_of(url), callback, heartbeat, proof))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _listen(primary: Primary, callback: Callback, heartbeat: float, proof: float) -> None:
    pause = SHORTEST
    while True:
        with suppress(*FAILURES):
            driver = await primary.connect()
            try:
                await driver.add_listener(CHANNEL, lambda *_: callback())
                pause = SHORTEST
                # What was told meanwhile was told to nobody.
                callback()
                await _until_dead(driver, heartbeat, proof)
            finally:
                # Others are tried first: it may have been silent.
                primary.silent(driver)
                driver.terminate()
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  # no secret
        pause = min(2 * pause, LONGEST)


async def _until_dead(driver: Any, heartbeat: float, proof: float) -> None:
    gone = asyncio.Event()
    driver.add_termination_listener(lambda _: gone.set())
    while not gone.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), heartbeat)
        await driver.execute("SELECT 1", timeout=proof)
