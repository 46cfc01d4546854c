"""Seeded bugs of sessions, and of the callers whose they are."""

from __future__ import annotations

from keyauthority.coherence.cache import CoherentCache, SyncCall
from keyauthority.coherence.sessions import Entry, SessionBook
from tests.coherence import scenarios
from tests.coherence.machines import Step
from tests.coherence.seeded.seeding import Bug, breaks
from tests.coherence.world import (
    Answer,
    Books,
    BookState,
    Cache,
    Process,
    World,
)

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


class BookFromOne(SessionBook):
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
    book_type = BookFromOne


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
    def commit(self, world: World, process: int, changes: tuple[str, ...], began: float) -> Step:
        label, after, broken = super().commit(world, process, changes, began)
        if any(change.startswith("+caller") for change in changes):
            after = after._replace(book=BookState((), after.book.beats))
        return label, after, broken
