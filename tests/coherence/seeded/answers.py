"""Seeded bugs of answers to Verify, and of refusals for good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keyauthority.coherence.cache import Ask, CoherentCache, SyncCall
from keyauthority.coherence.calls import Calls
from keyauthority.domain.sessions import Head
from tests.coherence import scenarios
from tests.coherence.seeded.seeding import Bug, breaks
from tests.coherence.world import (
    Answer,
    CacheState,
    Waiter,
    World,
)

# --- answers to Verify


class _AnyRevision(CoherentCache[Answer]):
    def stands(self, ask: Ask, head: Head) -> bool:
        return self.epoch in (0, head.epoch)


@breaks("an answer read below what was applied meanwhile doesn't count", scenarios.LEASE)
class AnyRevision(Bug):
    cache_type = _AnyRevision


class _AtLeastApplied(CoherentCache[Answer]):
    def stands(self, ask: Ask, head: Head) -> bool:
        if self.epoch not in (0, head.epoch) or head.revision < self.applied:
            return False
        if self.epoch:
            self.seen = max(self.seen, head.revision)
        return True


@breaks("an answer read below what was seen meanwhile doesn't count", scenarios.SECRETS)
class BelowSeen(Bug):
    cache_type = _AtLeastApplied


class _AnyEpoch(CoherentCache[Answer]):
    def stands(self, ask: Ask, head: Head) -> bool:
        if head.revision < max(self.seen, self.applied):
            return False
        if self.epoch:
            self.seen = head.revision
        return True


@breaks("an answer of another epoch doesn't count", scenarios.CUT)
class AnyEpoch(Bug):
    cache_type = _AnyEpoch


class _EpochOfVerify(CoherentCache[Answer]):
    def stands(self, ask: Ask, head: Head) -> bool:
        if self.epoch and head.epoch > self.epoch:
            self.epoch, self.applied, self.seen = head.epoch, head.revision, head.revision
        return super().stands(replace(ask, epoch=self.epoch), head)


@breaks("no new epoch is taken from an answer to Verify", scenarios.RESTORED_SECRETS)
class EpochOfVerify(Bug):
    cache_type = _EpochOfVerify


class _JoinsRunning(Calls[Waiter]):
    def arrive(self, digest: bytes, waiter: Waiter) -> bool:
        if digest in self._running:
            self._running[digest].append(waiter)
            return False
        return super().arrive(digest, waiter)


@breaks(
    "a request takes the verdict of no call sent before it came",
    scenarios.JOINERS,
    scenarios.FRESH,
)
class LateJoiner(Bug):
    calls_type = _JoinsRunning


class _NotFresh(CoherentCache[Answer]):
    def ask(self, now: float) -> Ask:
        return replace(super().ask(now), fresh=False)


@breaks("before the first Sync answers come from the database", scenarios.NEWCOMERS)
class NotFresh(Bug):
    cache_type = _NotFresh


@breaks("without a cache answers come from the database", scenarios.FRESH)
class NotFreshWithoutCache(Bug):
    cache_type = _NotFresh


@breaks("without a cache nothing is cached", scenarios.FRESH)
class CachedWithoutCache(Bug):
    def first(self) -> World:
        world = super().first()
        return world._replace(caches=tuple(CacheState() for _ in world.caches))


class _NoAtLeast(_AtLeastApplied):
    def ask(self, now: float) -> Ask:
        return replace(super().ask(now), at_least=0)


@breaks(
    "a process answers at what was seen or later (and less doesn't count)",
    scenarios.REFUSING,
)
class NoAtLeast(Bug):
    cache_type = _NoAtLeast


# --- refusals for good


class _KeepsOther(CoherentCache[Answer]):
    def keep(self, ask: Ask, digest: bytes, entry: Answer, *, whole_key: bool = False) -> Answer:
        return super().keep(ask, digest, entry, whole_key=False)


@breaks("REVOKED of a whole key drops what its other secrets have", scenarios.SECRETS)
class KeepsOther(Bug):
    cache_type = _KeepsOther


class _FinalDropped(CoherentCache[Answer]):
    def apply(self, call: SyncCall, session_id: str, head: Head, *rest: Any, **more: Any) -> bool:
        if head.epoch > self.epoch:
            for _, entry in list(self.entries):
                self.entries._drop(entry)
        return super().apply(call, session_id, head, *rest, **more)


@breaks("a new epoch keeps REVOKED", scenarios.EPOCHS_REFUSED)
class FinalDropped(Bug):
    cache_type = _FinalDropped


class _FinalNeedsLease(CoherentCache[Answer]):
    def get(self, digest: bytes, now: float) -> Answer | None:
        return super().get(digest, now) if self.holds_lease(now) else None

    def keep(self, ask: Ask, digest: bytes, entry: Answer, *, whole_key: bool = False) -> Answer:
        before = self.entries.find(digest)
        if before is not None and before.final:
            self.entries._drop(before)
        return super().keep(ask, digest, entry, whole_key=whole_key)


@breaks("REVOKED needs no lease (and is never replaced)", scenarios.EPOCHS_REFUSED)
class FinalNeedsLease(Bug):
    cache_type = _FinalNeedsLease
