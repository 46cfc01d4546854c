"""Changes without end, at random."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from tests.faults.changing import TRIES, Changing, Key
from tests.faults.history import Kind

KEYS = 6
"""Live keys that a worker has at a time, about."""

PAUSE = 0.1
"""Seconds between a worker's changes, on average."""


class Worker:
    """Keeps some keys alive, and ends one after the other."""

    def __init__(self, changing: Changing, chance: random.Random) -> None:
        self._changing = changing
        self._random = chance
        self._keys: list[Key] = []

    async def work(self) -> None:
        while True:
            # What cannot be done to a workspace must not hold up the others.
            with suppress(TimeoutError):
                workspace = await self._changing.workspace()
                self._keys = []
                while True:
                    await self._step(workspace)
                    await asyncio.sleep(self._random.expovariate(1 / PAUSE))

    async def _step(self, workspace: str) -> None:
        if len(self._keys) < KEYS:
            self._keys.append(await self._changing.issue(workspace))
            return
        what = self._random.random()
        key = self._random.choice(self._keys)
        if what < 0.6:
            self._keys.remove(key)
            # Some give up after the first attempt, and it holds all the same once it is made.
            with suppress(TimeoutError):
                await self._changing.revoke(key, self._random.choice((1, TRIES)))
        elif what < 0.85:
            await self._changing.rotate(key)
        else:
            await self._changing.suspend(workspace, Kind.SUSPEND)
            await asyncio.sleep(self._random.uniform(0.0, 0.5))
            await self._changing.suspend(workspace, Kind.RESUME)
