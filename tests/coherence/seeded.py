"""Seeded bugs: for each rule of the protocol a model that breaks exactly this one.

`tests/coherence/test_model.py` searches each until a promise is broken. Some rules are held twice, by
two mechanisms each of which suffices; such a bug breaks both, and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, NamedTuple

from keyauthority.coherence.allowances import Allowances
from keyauthority.coherence.cache import Ask, CoherentCache, SyncCall
from keyauthority.coherence.calls import Calls
from keyauthority.coherence.entries import Entries
from keyauthority.coherence.fence import Fence
from keyauthority.coherence.sessions import Entry, SessionBook
from keyauthority.domain.sessions import REPLICA, WHOLE, Allowance, Claim, Counts, Grant, Head
from tests.coherence import scenarios
from tests.coherence.grant_rows import GrantRow
from tests.coherence.machines import Step
from tests.coherence.model import Model
from tests.coherence.scenarios import Scenario
from tests.coherence.world import (
    Answer,
    Books,
    BookState,
    Cache,
    CacheState,
    Given,
    Process,
    Recording,
    SyncAnswered,
    SyncSent,
    Waiter,
    World,
    book_asleep,
    wake_book,
    wake_cache,
)


class Seeded(NamedTuple):
    """A rule, a model without it, and the world in which that is found out."""

    rule: str
    model: type[Model]
    scenario: Scenario


SEEDED: Final[list[Seeded]] = []


SPARE: Final[list[Seeded]] = []
"""Rules without which no promise is broken, since another rule holds the same."""


class Bug(Model):
    """An alarm is not enough: a promise has to be broken."""

    alarms_count = False


def breaks(rule: str, *where: Scenario) -> Callable[[type[Model]], type[Model]]:
    """Registers a model as breaking *rule*."""

    def register(model: type[Model]) -> type[Model]:
        SEEDED.extend(Seeded(rule, model, scenario) for scenario in where)
        return model

    return register


def spares(rule: str, where: Scenario) -> Callable[[type[Model]], type[Model]]:
    """Registers a model as breaking *rule*, which something else makes up for."""

    def register(model: type[Model]) -> type[Model]:
        SPARE.append(Seeded(rule, model, where))
        return model

    return register


# --- leases


@breaks("a lease runs from when its request was sent", scenarios.LEASE)
class LeaseFromReceipt(Bug):
    def take(self, cache_now: Cache, call: SyncCall, grant: Grant, now: float) -> None:
        super().take(cache_now, replace(call, sent=now), grant, now)


class _Unleased(CoherentCache[Answer]):
    def get(self, digest: bytes, now: float) -> Answer | None:
        return self.entries.find(digest)


@breaks("the lease is checked at every hit", scenarios.LEASE)
class NoLeaseCheck(Bug):
    cache_type = _Unleased


@breaks("W outlasts a lease by another clock", scenarios.LEASE)
class WaitWithoutDrift(Bug):
    class fence_type(Fence):  # noqa: N801
        def over(self, longest_lease: timedelta) -> float:
            return max(self._committed + longest_lease.total_seconds(), self._settled)


@breaks("the fence reads the longest lease ever granted", scenarios.SHRINKING)
class CurrentLease(Bug):
    def longest(self, books: Books) -> float:
        return books.lease


# --- the fence


@breaks("a change waits at all", scenarios.LEASE)
class NoFence(Bug):
    def fence(self, world: World, process: int, version: int, committed: float) -> World:
        return world._replace(returned=max(world.returned, version))


@breaks("the fence counts from after the commit", scenarios.COMMITS)
class TimeBeforeCommit(Bug):
    def committed(self, world: World, process: int, began: float) -> float:
        return began


@breaks("a repeat that changes nothing waits too", scenarios.REPEAT)
class RepeatAtOnce(Bug):
    def repeat(self, world: World, process: int, version: int) -> World:
        return world._replace(returned=max(world.returned, version))


@breaks("every session has to acknowledge, not any", scenarios.PAIR)
class AnySession(Bug):
    class fence_type(Fence):  # noqa: N801
        def look(self, counts: Counts, now: float) -> bool:
            behind = 0 if counts.acknowledged else counts.behind
            return super().look(replace(counts, behind=behind), now)


# --- applying and acknowledging


class _ClaimsSeen(CoherentCache[Answer]):
    def begin_sync(self, now: float) -> SyncCall:
        call = super().begin_sync(now)
        return replace(call, claim=Claim(self.epoch, self.seen))


@breaks("what is acknowledged is applied, not only seen", scenarios.SECRETS)
class AcknowledgeSeen(Bug):
    cache_type = _ClaimsSeen


@breaks("what changed is dropped before it is acknowledged", scenarios.LEASE)
class NotDropped(Bug):
    def take(self, cache_now: Cache, call: SyncCall, grant: Grant, now: float) -> None:
        super().take(cache_now, call, replace(grant, subjects=()), now)


@breaks("a session is recorded with its claim, not with the head", scenarios.LEASE)
class HeadRecorded(Bug):
    def credit(self, call: SyncCall, head: Head) -> int:
        return head.revision


@breaks("a join is written down before its head is read", scenarios.REJOINING)
class JoinAfterReading(Bug):
    def begin_grant(self, world: World, message: SyncSent) -> tuple[World, Recording | str]:
        if message.call.session_id:
            return super().begin_grant(world, message)
        session_id = f"session{world.ids + 1}"
        caller = self.caller(message.follower)
        grant = self.granted(world.books, session_id, caller, message.call.claim, WHOLE)
        begun = Recording(message.follower, message.call, session_id, grant)
        return world._replace(ids=world.ids + 1), begun

    def record(self, world: World, message: Recording) -> Step:
        if message.grant is None:
            return super().record(world, message)
        book = wake_book(world.book, self.book_type)
        book.join(message.session_id, self.caller(message.follower))
        credit = self.credit(message.call, message.grant.head)
        book.acknowledge(message.session_id, credit)
        world = self.arrived(world, message)._replace(book=book_asleep(book))
        answered = SyncAnswered(message.follower, message.call, message.grant, "")
        return "a join is granted", self.sent(world, answered), ""


@breaks(
    "a renewal is answered only if it finds its session, after its head was read",
    scenarios.RENEWING,
)
class RenewAfterReading(Bug):
    """A batch of renewals whose heads were read before the sessions were stored."""

    def begin_grant(self, world: World, message: SyncSent) -> tuple[World, Recording | str]:
        session_id, caller = message.call.session_id, self.caller(message.follower)
        if session_id not in wake_book(world.book, self.book_type):
            return super().begin_grant(world, message)
        grant = self.granted(world.books, session_id, caller, message.call.claim, WHOLE)
        return world, Recording(message.follower, message.call, session_id, grant)

    def record(self, world: World, message: Recording) -> Step:
        if message.grant is None:
            return super().record(world, message)
        book = wake_book(world.book, self.book_type)
        book.beat(message.session_id, self.caller(message.follower))
        book.acknowledge(message.session_id, self.credit(message.call, message.grant.head))
        world = self.arrived(world, message)._replace(book=book_asleep(book))
        answered = SyncAnswered(message.follower, message.call, message.grant, "")
        return "a renewal is granted", self.sent(world, answered), ""


@breaks("a renewal is answered only once its batch is committed", scenarios.JANITOR)
class RenewalsLost(Bug):
    """An acknowledgement that is answered, and a beat that is answered, which the batch lost."""

    def begin_grant(self, world: World, message: SyncSent) -> tuple[World, Recording | str]:
        after, begun = super().begin_grant(world, message)
        return (after._replace(book=world.book) if message.call.session_id else after), begun

    def record(self, world: World, message: Recording) -> Step:
        label, after, broken = super().record(world, message)
        return label, after._replace(book=world.book) if message.call.session_id else after, broken


@breaks("a held Sync is credited with its claim, not with what it is answered", scenarios.HELD)
class HeldCredited(Bug):
    def grant_again(self, world: World, message: SyncSent) -> World | None:
        after = super().grant_again(world, message)
        if after is None:
            return None
        book = wake_book(after.book, self.book_type)
        book.acknowledge(message.call.session_id, world.books.revision)
        return after._replace(book=book_asleep(book))


@breaks("head and changes of a grant are of one snapshot", scenarios.SPLIT)
class TwoSnapshots(Bug):
    def begin_grant(self, world: World, message: SyncSent) -> tuple[World, Recording | str]:
        world, begun = super().begin_grant(world, message)
        if isinstance(begun, str):
            return world, begun
        caller = self.caller(message.follower)
        grant = self.granted(world.books, begun.session_id, caller, message.call.claim, WHOLE)
        return world, begun._replace(grant=grant)

    def record(self, world: World, message: Recording) -> Step:
        label, after, broken = super().record(world, message._replace(grant=None))
        net = set()
        for one in after.net:
            if type(one) is SyncAnswered and one.call is message.call and one.grant is not None:
                assert message.grant is not None
                head, old = one.grant.head, message.grant
                one = one._replace(grant=replace(old, head=head))  # noqa: PLW2901
            net.add(one)
        return label, after._replace(net=frozenset(net) - {message}), broken


class _SeesAsApplied(CoherentCache[Answer]):
    def stands(self, ask: Ask, head: Head) -> bool:
        stands = super().stands(ask, head)
        if stands and self.epoch:
            self.applied = self.seen
        return stands


@breaks("a Verify applies nothing but its own answer", scenarios.SECRETS)
class VerifyApplies(Bug):
    cache_type = _SeesAsApplied


# --- one Sync at a time; a pair of mechanisms: only the current reply counts, applied never falls


class _AnySync(CoherentCache[Answer]):
    def is_current(self, call: SyncCall) -> bool:
        return not self._left

    def apply(self, call: SyncCall, session_id: str, head: Head, *rest: Any, **more: Any) -> bool:
        if head.epoch == self.epoch and head.revision < self.applied:
            self.applied = self.seen = head.revision
        return super().apply(call, session_id, head, *rest, **more)


@breaks("replies to abandoned Syncs don't count (and applied never falls)", scenarios.ABANDONED)
class AnySync(Bug):
    cache_type = _AnySync


class _OldEpochs(CoherentCache[Answer]):
    def is_current(self, call: SyncCall) -> bool:
        return not self._left

    def apply(self, call: SyncCall, session_id: str, head: Head, *rest: Any, **more: Any) -> bool:
        if head.epoch < self.epoch:
            self.epoch, self.applied, self.seen = head.epoch, head.revision, head.revision
        return super().apply(call, session_id, head, *rest, **more)


@breaks("a Sync reply of an older epoch (an abandoned one's) doesn't count", scenarios.OLD_EPOCHS)
class OldEpochs(Bug):
    cache_type = _OldEpochs


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


# --- changes


class _KeysOnly(Entries[Answer]):
    def drop_subject(self, subject: str) -> None:
        for entry in list(self.of_key(subject)):
            self._drop_unless_final(entry)


class _NoWorkspaces(CoherentCache[Answer]):
    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.entries = _KeysOnly(capacity)


@breaks("a workspace's change drops what its keys have", scenarios.WORKSPACES)
class NoWorkspaces(Bug):
    cache_type = _NoWorkspaces


@breaks("each change has its own row, also the second of the same key", scenarios.AGAIN)
class Coalesced(Bug):
    def changed(self, books: Books, change: str) -> Books:
        after = super().changed(books, change)
        if any(subject == self.subject(change) for _, subject in books.changes):
            return after._replace(changes=books.changes)
        return after


@breaks("who is behind the pruned tail is reset", scenarios.PRUNED)
class PrunedIgnored(Bug):
    def grant(
        self,
        rows: list[GrantRow],
        session_id: str,
        caller: str,
        claim: Claim,
        allowance: Allowance,
    ) -> Grant:
        whole = [replace(row, oldest_change=claim.revision + 1) for row in rows]
        return super().grant(whole, session_id, caller, claim, allowance)


@breaks("a reset drops everything", scenarios.PRUNED)
class ResetIgnored(Bug):
    def take(self, cache_now: Cache, call: SyncCall, grant: Grant, now: float) -> None:
        told = grant if grant.subjects is not None else replace(grant, subjects=())
        super().take(cache_now, call, told, now)


# --- sessions


class _ByIdAlone(Bug):
    def look_at(
        self, process: Process, rows: list[tuple[str, int]], now: float, wait: float
    ) -> tuple[tuple[tuple[tuple[str, int], float], ...], tuple[tuple[str, int], ...]]:
        still, doomed = super().look_at(process, [(one, 0) for one, _ in rows], now, wait)
        beats = dict(rows)
        return still, tuple((one, beats[one]) for one, _ in doomed)


@breaks("a janitor goes by the beat", scenarios.JANITOR)
class ByIdAlone(_ByIdAlone):
    pass


@breaks("a janitor removes only at the beat that stood still", scenarios.JANITOR)
class RemovesAnyBeat(Bug):
    def remove(self, book: SessionBook, session_id: str, beat: int) -> None:
        for one, entry in list(book):
            if one == session_id:
                book.remove(one, entry.beat)


@breaks("a janitor reads its clock after the sessions", scenarios.JANITOR)
class TimeBeforeRows(Bug):
    def sweep_time(self, world: World, number: int) -> float:
        # The adversary's choice: read when all began.
        return 0.0 if not world.processes[number].still else super().sweep_time(world, number)


@breaks("a janitor waits for W", scenarios.JANITOR)
class HastyJanitor(Bug):
    def look_at(
        self, process: Process, rows: list[tuple[str, int]], now: float, wait: float
    ) -> tuple[tuple[tuple[tuple[str, int], float], ...], tuple[tuple[str, int], ...]]:
        return super().look_at(process, rows, now, self.has.longest)


class _StillBeat(SessionBook):
    def beat(self, session_id: str, caller_id: str) -> bool:
        return session_id in self


@breaks("each call moves the beat", scenarios.JANITOR)
class StillBeat(Bug):
    book_type = _StillBeat


class _BeatsFromOne(SessionBook):
    def join(self, session_id: str, caller_id: str) -> None:
        self._entries[session_id] = Entry(caller_id, 1, 0)

    def beat(self, session_id: str, caller_id: str) -> bool:
        entry = self._entries.get(session_id)
        if entry is None:
            return False
        entry.beat += 1
        return True


class _OneId(Bug):
    def join(self, book: SessionBook, caller: str, ids: int) -> tuple[int, str]:
        book.join(f"session of {caller}", caller)
        return ids + 1, f"session of {caller}"


@breaks("a session's id is never used again", scenarios.LEAVING)
class OneId(_OneId):
    pass


@breaks("beats are never given twice (nor ids)", scenarios.REUSED)
class BeatsAgain(_OneId):
    book_type = _BeatsFromOne


@breaks("the bound of sessions refuses a join, and evicts nobody", scenarios.PAIR)
class Evicts(Bug):
    def join(self, book: SessionBook, caller: str, ids: int) -> tuple[int, str]:
        for one, entry in list(book):
            book.leave(one, entry.caller_id)
        return super().join(book, caller, ids)


@breaks("Leave is sent after the lease has ended", scenarios.LEAVING)
class LeaveFirst(Bug):
    def part(self, cache_now: Cache) -> str:
        return cache_now.session_id


class _TakesAfterLeaving(CoherentCache[Answer]):
    def is_current(self, call: SyncCall) -> bool:
        return call.number == self._syncs


@breaks("nothing is taken after Leave", scenarios.LEAVING)
class TakesAfterLeaving(Bug):
    cache_type = _TakesAfterLeaving


# --- callers


@breaks("a held Sync checks its caller again", scenarios.CALLERS)
class CallerNotChecked(Bug):
    def accepts(self, books: Books, caller: str) -> bool:
        return True


@breaks("revoking a caller deletes no session", scenarios.CALLERS)
class DeletesSessions(Bug):
    def commit(self, world: World, process: int, change: str, began: float) -> Step:
        label, after, broken = super().commit(world, process, change, began)
        if change.startswith("+caller"):
            after = after._replace(book=BookState((), after.book.beats))
        return label, after, broken


# --- allowances


@breaks("the fence waits for what may be in force, not for what is granted next", scenarios.ALLOWED)
class WaitsForGranted(Bug):
    class book_type(SessionBook):  # noqa: N801
        def standing(self) -> Counter[tuple[int, timedelta | None]]:
            return Counter((entry.acknowledged, entry.allowance.lease) for _, entry in self)


class _SettlesHastily(Allowances):
    def look(
        self,
        sessions: Iterable[tuple[str, Allowance, bool]],
        now: float,
        lease: timedelta,
        longest_lease: timedelta,
    ) -> list[tuple[str, Allowance, Allowance]]:
        return super().look(sessions, now, lease, lease / 2)


@breaks("what may be in force falls only after W of it", scenarios.ALLOWED)
class SettlesAllowanceHastily(Bug):
    allowances_type = _SettlesHastily


@breaks("an allowance is settled only if it is still the one that stood for W", scenarios.REVIEWED)
class SettlesAny(Bug):
    def with_allowance(
        self, world: World, session_id: str, before: Allowance, after: Allowance
    ) -> World:
        if before.lease == after.lease:
            before = wake_book(world.book, self.book_type).allowance(session_id)
            after = replace(before, in_force=after.in_force)
        return super().with_allowance(world, session_id, before, after)


@breaks("a session that is granted no lease gets none", scenarios.LENGTHENED)
class GrantedAll(Bug):
    def grant(
        self,
        rows: list[GrantRow],
        session_id: str,
        caller: str,
        claim: Claim,
        allowance: Allowance,
    ) -> Grant:
        return super().grant(rows, session_id, caller, claim, WHOLE)


@breaks("a longer lease is in the books before it is granted", scenarios.LENGTHENED)
class LengthensGrantedAlone(Bug):
    def lengthened(self, has: Allowance, lease: timedelta) -> Allowance:
        return replace(super().lengthened(has, lease), in_force=has.in_force)


@breaks("a lease is granted by the allowance from before its head was read", scenarios.LENGTHENED)
class AllowanceAfterReading(Bug):
    def begin_grant(self, world: World, message: SyncSent) -> tuple[World, Recording | str]:
        world, begun = super().begin_grant(world, message)
        if isinstance(begun, str):
            return world, begun
        caller = self.caller(message.follower)
        grant = self.granted(world.books, begun.session_id, caller, message.call.claim, WHOLE)
        return world, begun._replace(grant=grant)

    def record(self, world: World, message: Recording) -> Step:
        read = message.grant
        label, after, broken = super().record(world, message._replace(grant=None))
        allowance = wake_book(world.book, self.book_type).allowance(message.session_id)
        net = set()
        for one in after.net:
            if type(one) is SyncAnswered and one.call is message.call and one.grant is not None:
                assert read is not None
                lease = allowance.granted(timedelta(seconds=world.books.lease))
                one = one._replace(grant=replace(read, lease=lease))  # noqa: PLW2901
            net.add(one)
        return label, after._replace(net=frozenset(net) - {message}), broken


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
    def fence(self, world: World, process: int, version: int, committed: float) -> World:
        if version == 1:
            return world._replace(returned=max(world.returned, version))
        return super().fence(world, process, version, committed)


@breaks("UNKNOWN of a foreign secret is not cached", scenarios.IMPORTS)
class UnknownCached(Bug):
    unknown_holds_for = 9.0


# --- held twice: each of these alone breaks nothing


class _IgnoresAskEpoch(CoherentCache[Answer]):
    def stands(self, ask: Ask, head: Head) -> bool:
        return super().stands(replace(ask, epoch=self.epoch), head)


@spares(
    "an answer asked for in another epoch doesn't count, though given in this one", scenarios.CUT
)
class IgnoresAskEpoch(Bug):
    cache_type = _IgnoresAskEpoch


class _TakesAnySync(CoherentCache[Answer]):
    def is_current(self, call: SyncCall) -> bool:
        return not self._left


@spares("a reply to an abandoned Sync doesn't count: applied never falls", scenarios.ABANDONED)
class TakesAnySync(Bug):
    cache_type = _TakesAnySync


@spares("the same over epochs: an older one is not taken", scenarios.OLD_EPOCHS)
class TakesAnySyncOverEpochs(Bug):
    cache_type = _TakesAnySync


@spares("a held Sync finds its session: its lease runs from when it was sent", scenarios.HELD)
class HeldUnfound(Bug):
    def in_book(self, book: SessionBook, session_id: str, caller: str) -> bool:
        return True


class _Falls(CoherentCache[Answer]):
    def apply(self, call: SyncCall, session_id: str, head: Head, *rest: Any, **more: Any) -> bool:
        if self.is_current(call) and (head.epoch, head.revision) < (self.epoch, self.applied):
            self.epoch, self.applied, self.seen = head.epoch, head.revision, head.revision
        return super().apply(call, session_id, head, *rest, **more)


@spares("applied never falls: only the current Sync's reply counts", scenarios.ABANDONED)
class Falls(Bug):
    cache_type = _Falls


class _AsksAny(CoherentCache[Answer]):
    def ask(self, now: float) -> Ask:
        return replace(super().ask(now), at_least=0)


@spares("`at_least_revision` is sent: less doesn't count when it comes", scenarios.REFUSING)
class AsksAny(Bug):
    cache_type = _AsksAny


class _FinalUnderLease(CoherentCache[Answer]):
    def get(self, digest: bytes, now: float) -> Answer | None:
        return super().get(digest, now) if self.holds_lease(now) else None


@spares("REVOKED needs no lease: it is never replaced", scenarios.EPOCHS_REFUSED)
class FinalUnderLease(Bug):
    cache_type = _FinalUnderLease


class _Replaces(CoherentCache[Answer]):
    def keep(self, ask: Ask, digest: bytes, entry: Answer, *, whole_key: bool = False) -> Answer:
        before = self.entries.find(digest)
        if before is not None and before.final:
            self.entries._drop(before)
        return super().keep(ask, digest, entry, whole_key=whole_key)


@spares("REVOKED is never replaced: nobody asks again", scenarios.EPOCHS_REFUSED)
class Replaces(Bug):
    cache_type = _Replaces


@spares("beats are never given twice: ids aren't", scenarios.REUSED)
class BeatsFromOne(Bug):
    book_type = _BeatsFromOne


@spares(
    "sessions go with a restore: it is waited out, and claims are of an epoch", scenarios.EPOCHS
)
class SessionsStay(Bug):
    def book_restored(self, book: BookState) -> BookState:
        return book


@spares("a claim above the head is worth nothing: it is of another epoch", scenarios.RESTORED)
class CreditsAboveHead(Bug):
    def credit(self, call: SyncCall, head: Head) -> int:
        return call.claim.revision if call.claim.epoch == head.epoch else 0


@spares("a join is recorded with its claim: nobody joins under a lease", scenarios.REJOINING)
class HeadRecordedAtJoin(Bug):
    def credit(self, call: SyncCall, head: Head) -> int:
        return super().credit(call, head) if call.session_id else head.revision


class _Unconcerned(SessionBook):
    def __contains__(self, session_id: object) -> bool:
        return True


@spares("a session that ended before its grant gets none: its lease is over", scenarios.REJOINING)
class GrantsToEnded(Bug):
    book_type = _Unconcerned
