"""Seeded bugs of several processes, and of what they pass on for how long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keyauthority.coherence.cache import Ask, CoherentCache
from keyauthority.domain.sessions import REPLICA
from tests.coherence import scenarios
from tests.coherence.machines import Step
from tests.coherence.seeded.seeding import Bug, breaks
from tests.coherence.world import (
    Answer,
    Books,
    Cache,
    CacheState,
    Given,
    Recording,
    World,
    wake_cache,
)

# --- several processes


@breaks("a hit at a process is of what it has applied", scenarios.OVERTAKEN)
class ReportsHead(Bug):
    def reported(self, known: Given, books: Books) -> Given:
        return known._replace(revision=books.revision)


@breaks("a process has a session for its own cache", scenarios.PLAIN)
class NoOwnSession(Bug):
    def record(self, world: World, message: Recording) -> Step:
        label, after, broken = super().record(world, message)
        if message.follower >= self.has.verifiers:
            sessions = tuple(
                (one, caller, beat, 99 if caller == REPLICA else acknowledged, allowance)
                for one, caller, beat, acknowledged, allowance in after.book.sessions
            )
            after = after._replace(book=after.book._replace(sessions=sessions))
        return label, after, broken


@breaks("a process keeps nothing that it applied a change after", scenarios.READING)
class ProcessKeepsAny(Bug):
    def _read_at_process(
        self, state: CacheState, ask: Ask, secret: str, given: Given, now: float
    ) -> tuple[CacheState, bool]:
        cache_now = wake_cache(state, self.cache_type)
        if not self.may_answer(cache_now, now):
            return state, True
        self.keep(cache_now, ask, secret, self.answer_of(secret, ask, given, now))
        return self.asleep(cache_now, now), False


@breaks("a process without a lease is silent", scenarios.FAILOVER)
class AnswersUnleased(Bug):
    def may_answer(self, cache_now: Cache, now: float) -> bool:
        return True


# --- time and foreign secrets


@breaks("`cache_for` counts from when the question was sent", scenarios.EXPIRING)
class HoldsFromReceipt(Bug):
    def answer_of(self, secret: str, ask: Ask, given: Given, now: float) -> Answer:
        return super().answer_of(secret, replace(ask, sent=now), given, now)


@breaks("a process passes on only what is left", scenarios.PASSED_ON)
class PassesOnAll(Bug):
    def pass_on(self, cache_now: Cache, known: Answer, now: float) -> Given:
        given = super().pass_on(cache_now, known, now)
        return given._replace(left=2.0)


@breaks("that none were imported counts only under a lease", scenarios.FOREIGN)
class ForeignUnleased(Bug):
    def _hit(self, state: CacheState, secret: str, now: float) -> str:
        if secret == "foreign" and not state.foreign:
            return "UNKNOWN"
        return super()._hit(state, secret, now)


class _ForeignOnce(CoherentCache[Answer]):
    def apply(self, *args: Any, foreign_secrets: bool = True) -> bool:
        return super().apply(*args, foreign_secrets=foreign_secrets and self.foreign_secrets)


@breaks("every Sync says whether any were imported", scenarios.FOREIGN)
class ForeignOnce(Bug):
    cache_type = _ForeignOnce


@breaks("the first import is a fenced change", scenarios.FOREIGN)
class ImportUnfenced(Bug):
    def fence(
        self, world: World, process: int, revision: int, version: int, committed: float
    ) -> World:
        if version == 1:
            return world._replace(returned=max(world.returned, version))
        return super().fence(world, process, revision, version, committed)


@breaks("UNKNOWN of a foreign secret is not cached", scenarios.IMPORTS)
class UnknownCached(Bug):
    unknown_holds_for = 9.0
