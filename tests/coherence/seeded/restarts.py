"""Seeded bugs of stops, crashes and restores, and of books that went back without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from keyauthority.coherence.cache import Ask, CoherentCache, SyncCall
from keyauthority.domain.sessions import Head
from tests.coherence import scenarios
from tests.coherence.machines import Step
from tests.coherence.seeded.seeding import Bug, breaks
from tests.coherence.world import (
    Answer,
    Books,
    BookState,
    Process,
    World,
)

# --- restarts


@breaks("after a crash fences wait for start + W", scenarios.RESTARTS)
class NoSettling(Bug):
    def settled_at_start(self, now: float) -> float:
        return now


@breaks("that W is one with drift", scenarios.RESTARTS)
class SettlesHastily(Bug):
    def settled_at_start(self, now: float) -> float:
        return now + self.has.longest


@breaks("the marker of a clean stop is taken away at the start", scenarios.MARKED)
class MarkerStays(Bug):
    def marker_taken(self, books: Books) -> Books:
        return books


@breaks("no clean stop while a session is left", scenarios.STOPS)
class MarkedWithSessions(Bug):
    def may_mark(self, world: World, process: Process, now: float) -> bool:
        return now >= process.settled and world.books.settling is None


@breaks("no clean stop before this start's own wait is over", scenarios.STOPS)
class MarkedUnsettled(Bug):
    def may_mark(self, world: World, process: Process, now: float) -> bool:
        return not world.book.sessions and world.books.settling is None


@breaks("no clean stop while granting goes on", scenarios.CLOSING)
class MarkedWhileGranting(Bug):
    def serving(self, world: World, follower: int) -> Iterator[int]:
        if world.processes[0].state != "down":
            yield 0

    def end(self, world: World, number: int) -> Step:
        if world.books.clean_stop:
            return "process 0 ends at last", self.down(world, number), ""
        process, now = world.processes[number], self.process_clock(world, number)
        books = world.books._replace(clean_stop=self.may_mark(world, process, now))
        return "process 0 sets the marker", world._replace(books=books), ""


# --- epochs


class _KeepsEntries(CoherentCache[Answer]):
    def apply(
        self,
        call: SyncCall,
        session_id: str,
        head: Head,
        subjects: Any,
        lease: float,
        **more: Any,
    ) -> bool:
        if self.epoch and head.epoch > self.epoch:
            self.epoch, self.seen, self.applied = head.epoch, 0, 0
        return super().apply(call, session_id, head, subjects or (), lease, **more)


@breaks("a new epoch drops what is cached", scenarios.RESTORED)
class KeepsEntries(Bug):
    cache_type = _KeepsEntries


@breaks("a claim of another epoch is worth nothing", scenarios.RESTORED)
class CreditsAnyEpoch(Bug):
    def credit(self, call: SyncCall, head: Head) -> int:
        return call.claim.revision


@breaks("a restore is waited out", scenarios.EPOCHS)
class RestoreAtOnce(Bug):
    def restored(self, books: Books, world: World) -> Books:
        return books._replace(settling=None)


@breaks("a restore's wait is W", scenarios.EPOCHS)
class RestoreHasty(Bug):
    def has_settled(self, world: World, since: int) -> bool:
        return True


@breaks("a restore waits for the longest lease that was lost with it", scenarios.RESTORED_SHORTER)
class LeaseOfBackup(Bug):
    def longest_restored(self, world: World, lease: float) -> float:
        return lease


@breaks("a restore raises the epoch", scenarios.RESTORED)
class SameEpoch(Bug):
    def next_epoch(self, world: World, backup: Books) -> int:
        return world.books.epoch


@breaks("no two restores give the same epoch", scenarios.RESTORED_TWICE)
class EpochAgain(Bug):
    def next_epoch(self, world: World, backup: Books) -> int:
        return backup.epoch + 1


@breaks("a restore takes away the marker of a clean stop", scenarios.RESTORED_STOPS)
class MarkerRestored(Bug):
    def restored(self, books: Books, world: World) -> Books:
        # The backup is one of a stopped authority.
        return books._replace(clean_stop=True, settling=None)


@breaks("a restore deletes the sessions (and waits)", scenarios.EPOCHS)
class SessionsKept(Bug):
    def restored(self, books: Books, world: World) -> Books:
        return books._replace(settling=None)

    def book_restored(self, book: BookState) -> BookState:
        return book


# --- books that went back within an epoch


class _KeepsAtAlarm(CoherentCache[Answer]):
    def apply(self, *args: Any, **more: Any) -> bool:
        alarms, entries = self.alarms, list(self.entries)
        applied = super().apply(*args, **more)
        if self.alarms > alarms:
            for digest, entry in entries:
                if not entry.alive:
                    entry.alive = True
                    self.entries.put(digest, entry)
        return applied


@breaks("books that went back drop what is cached", scenarios.GONE_BACK)
class KeepsAtAlarm(Bug):
    cache_type = _KeepsAtAlarm


class _AskedBeforeAlarm(CoherentCache[Answer]):
    def stands(self, ask: Ask, head: Head) -> bool:
        return super().stands(replace(ask, alarms=self.alarms), head)


@breaks("what was asked before books went back doesn't count", scenarios.GONE_BACK_ASKED)
class AskedBeforeAlarm(Bug):
    cache_type = _AskedBeforeAlarm
