"""Answers to keep in a cache, for the tests of single machines."""

from __future__ import annotations

import math
from typing import Final

from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.entries import Cached
from keyauthority.domain.sessions import Head

HEAD: Final = Head(1, 5)


def answer(
    key: str = "key", workspace: str = "workspace", until: float = math.inf, *, final: bool = False
) -> Cached:
    return Cached(key, workspace, until, final=final)


def leased(capacity: int = 10, *, head: Head = HEAD, at: float = 0.0) -> CoherentCache[Cached]:
    """A cache that has applied *head* and holds a lease of 3 seconds from *at*."""
    cache: CoherentCache[Cached] = CoherentCache(capacity)
    cache.apply(cache.begin_sync(at), "session", head, None, 3.0)
    return cache


def kept(cache: CoherentCache[Cached], digest: bytes, entry: Cached, *, at: float = 0.0) -> Cached:
    """What the cache makes of an answer that is asked for and given at *at*."""
    ask = cache.ask(at)
    assert cache.stands(ask, Head(cache.epoch, cache.seen))
    return cache.keep(ask, digest, entry)
