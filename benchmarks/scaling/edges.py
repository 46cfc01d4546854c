"""A million requests a second at the edges: gateways, misses and charges."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.scaling.costs import Costs
from keyauthority.client.verifier import CAPACITY
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.entries import Cached
from keyauthority.domain.sessions import Head

REQUESTS: Final = 1_000_000.0
BUSY: Final = 0.6
"""How busy the core of a gateway may be."""

HOLDS: Final = 60.0
"""Seconds that a verdict may be cached."""

SCALE: Final = 50
"""The simulated gateway has so many times fewer requests, keys and places in its cache."""

SECONDS: Final = 4 * HOLDS


def gateways(cost: float) -> float:
    """Returns how many processes take a million requests a second at *cost* seconds each."""
    return REQUESTS * cost / BUSY


@dataclass(frozen=True, slots=True)
class Misses:
    """Of all gateways together, a second; `share` is that of a gateway's requests."""

    keys: int
    by_key: bool
    share: float
    rate: float


def misses(keys: int, processes: float, *, by_key: bool) -> Misses:
    """Simulates a gateway whose requests present *keys* keys in use, each as often as the others.

    *by_key*: the balancer sends a key's requests to one gateway, else to any. Another spread of the
    keys misses less often.
    """
    own = max(round((keys / processes if by_key else keys) / SCALE), 1)
    rate = REQUESTS / processes / SCALE
    cache: CoherentCache[Cached] = CoherentCache(CAPACITY // SCALE)
    cache.apply(cache.begin_sync(0.0), "session", Head(1, 1), (), 2 * SECONDS)
    random = Random(keys)
    asked = missed = 0
    for number in range(round(SECONDS * rate)):
        time = number / rate
        digest = str(random.randrange(own)).encode()
        counted = time >= SECONDS / 2
        asked += counted
        if cache.get(digest, time) is None:
            missed += counted
            ask = cache.ask(time)
            cache.keep(ask, digest, Cached(str(digest), "workspace", time + HOLDS, final=False))
    return Misses(keys, by_key, missed / asked, REQUESTS * missed / asked)


def entries_a_day(charges: float, costs: Costs) -> float:
    """Returns the bytes that so many charges a second add to the ledgers in a day."""
    return charges * 86_400 * costs.entry_bytes
