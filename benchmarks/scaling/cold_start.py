"""Gateways that start, or lost their leases, all at once: until their keys in use are in memory again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.scaling.costs import Costs
from benchmarks.scaling.virtual import Processor, now, run
from keyauthority.client.asking import ACCEPTED_CALLS, CALLS_ALONE
from keyauthority.client.lines import BATCH
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.calls import Calls
from keyauthority.coherence.entries import Cached
from keyauthority.domain.gathering import Gathering
from keyauthority.domain.sessions import Head

SPREAD: Final = 0.25
"""Seconds in which each key in use is presented again."""

REPEATS: Final = 2
"""How often each key is presented meanwhile."""

TICK: Final = 0.005
"""Seconds between requests that come together."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Seconds until all keys are in memory, by the 99th of a hundred, and calls to the authority."""

    gateways: int
    keys: int
    batched: bool
    seconds: float
    calls: int


class _Replica:
    # A verdict is read from the books once, for whoever asks first.
    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._known: set[bytes] = set()
        self._cpu = Processor()
        self.calls = 0

    async def verify(self, digests: Sequence[bytes]) -> Sequence[None]:
        costs = self._costs
        unknown = [digest for digest in digests if digest not in self._known]
        self._known.update(unknown)
        first = costs.verify_read if unknown else costs.verify_cached
        more = costs.batch_read * max(len(unknown) - 1, 0)
        more += costs.batch_cached * (len(digests) - len(unknown))
        self.calls += 1
        await asyncio.sleep(costs.seconds("trip_zone") / 2)
        await self._cpu.work((first + more) / 1e3)
        await asyncio.sleep(costs.seconds("trip_zone") / 2)
        return [None] * len(digests)


class _Gateway:
    def __init__(self, replica: _Replica, keys: int, *, batched: bool) -> None:
        self.loaded: list[float] = []
        self._cache: CoherentCache[Cached] = CoherentCache(2 * keys)
        self._cache.apply(self._cache.begin_sync(now()), "session", Head(1, 1), None, 3600.0)
        self._calls: Calls[None] = Calls()
        self._replica = replica
        most, at_once = (BATCH, ACCEPTED_CALLS) if batched else (1, CALLS_ALONE)
        self._gathering: Gathering[bytes, None] = Gathering(
            self._send, size=lambda _: 1, most=most, at_once=at_once
        )

    async def request(self, digest: bytes) -> None:
        if self._cache.get(digest, now()) is not None or not self._calls.arrive(digest, None):
            return
        while True:
            ask = self._cache.ask(now())
            await self._gathering.do(digest)
            entry = Cached(str(digest), "workspace", ask.sent + 3600.0, final=False)
            self._cache.keep(ask, digest, entry)
            self.loaded.append(now())
            self._calls.end(digest)
            # Who came meanwhile finds the answer in memory, if its call was sent before.
            if not self._calls.proceed(digest):
                return
            if self._cache.get(digest, now()) is not None:
                self._calls.withdraw(digest)
                return

    async def _send(self, digests: Sequence[bytes]) -> Sequence[None]:
        for digest in digests:
            self._calls.send(digest)
        return await self._replica.verify(digests)


def cold_start(
    gateways: int, keys: int, replicas: int, costs: Costs | None = None, *, batched: bool
) -> ColdStart:
    """Simulates *gateways* with the same *keys* in use each, spread over *replicas*."""
    return run(_cold_start(gateways, keys, replicas, costs or Costs(), batched=batched))


async def _cold_start(
    gateways: int, keys: int, replicas: int, costs: Costs, *, batched: bool
) -> ColdStart:
    parts = [_Replica(costs) for _ in range(replicas)]
    edges = [_Gateway(parts[n % replicas], keys, batched=batched) for n in range(gateways)]

    async def traffic(edge: _Gateway) -> None:
        turns = round(SPREAD / TICK)
        async with asyncio.TaskGroup() as requests:
            for turn in range(turns):
                for number in range(turn, REPEATS * keys, turns):
                    key = number % keys
                    requests.create_task(edge.request(key.to_bytes(4, "big")))
                await asyncio.sleep(TICK)

    await asyncio.gather(*map(traffic, edges))
    loaded = sorted(time for edge in edges for time in edge.loaded)
    seconds = loaded[round(0.99 * (len(loaded) - 1))]
    return ColdStart(gateways, keys, batched, seconds, sum(one.calls for one in parts))
