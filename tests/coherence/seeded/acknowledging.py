"""Seeded bugs of what a verifier applies, acknowledges and drops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keyauthority.coherence.cache import Ask, CoherentCache, SyncCall
from keyauthority.coherence.entries import Entries
from keyauthority.domain.sessions import WHOLE, Allowance, Claim, Grant, Head
from tests.coherence import scenarios
from tests.coherence.grant_rows import GrantRow
from tests.coherence.machines import Step
from tests.coherence.seeded.seeding import Bug, breaks
from tests.coherence.world import (
    Answer,
    Books,
    Cache,
    Recording,
    SyncAnswered,
    SyncSent,
    World,
    book_asleep,
    wake_book,
)

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
