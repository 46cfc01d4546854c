"""Seeded bugs that break nothing: another rule holds the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keyauthority.coherence.cache import Ask, CoherentCache, SyncCall
from keyauthority.coherence.sessions import SessionBook
from keyauthority.domain.sessions import Head
from tests.coherence import scenarios
from tests.coherence.seeded.seeding import Bug, spares
from tests.coherence.seeded.sessions import BookFromOne
from tests.coherence.world import (
    Answer,
    BookState,
)


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
    book_type = BookFromOne


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
