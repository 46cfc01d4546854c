"""Sessions: the book of one process that is the whole authority, the worth of claims, and the janitor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from keyauthority.domain.sessions import WHOLE, Allowance, Claim, Head


@dataclass(slots=True)
class Entry:
    """A session in the book; no `beat` is ever given twice."""

    caller_id: str
    beat: int
    acknowledged: int
    allowance: Allowance = WHOLE


class SessionBook:
    """The sessions that may hold a lease, and the revision that each has acknowledged.

    An entry stands from before its first lease is granted until its last lease is over: only its
    verifier, or a janitor that saw it stand still for W, may end it.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._beats = 0

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._entries

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return iter(self._entries.items())

    def of_caller(self, caller_id: str) -> int:
        """Returns how many sessions the caller has."""
        return sum(entry.caller_id == caller_id for entry in self._entries.values())

    def caller_of(self, session_id: str) -> str | None:
        """Returns whose the session is; None if it is over."""
        entry = self._entries.get(session_id)
        return None if entry is None else entry.caller_id

    def join(self, session_id: str, caller_id: str) -> None:
        """Writes down a session that has acknowledged nothing, under an id that was never used."""
        self._beats += 1
        self._entries[session_id] = Entry(caller_id, self._beats, 0)

    def beat(self, session_id: str, caller_id: str) -> bool:
        """Gives the caller's session its next beat; returns False if there is no such session."""
        entry = self._entries.get(session_id)
        if entry is None or entry.caller_id != caller_id:
            return False
        self._beats += 1
        entry.beat = self._beats
        return True

    def acknowledge(self, session_id: str, revision: int) -> None:
        """Notes what a session has applied, which never falls but to 0, by a reset."""
        entry = self._entries.get(session_id)
        if entry is not None:
            entry.acknowledged = max(entry.acknowledged, revision) if revision else 0

    def allowance(self, session_id: str) -> Allowance:
        """Returns what the session may be granted; `WHOLE` if it is gone."""
        entry = self._entries.get(session_id)
        return WHOLE if entry is None else entry.allowance

    def allow(self, session_id: str, before: Allowance, after: Allowance) -> bool:
        """Replaces the session's allowance *before*; returns False if it has another by now."""
        entry = self._entries.get(session_id)
        if entry is None or entry.allowance != before:
            return False
        self._beats += 1
        entry.allowance = replace(after, number=self._beats)
        return True

    def leave(self, session_id: str, caller_id: str) -> None:
        """Ends the caller's session."""
        entry = self._entries.get(session_id)
        if entry is not None and entry.caller_id == caller_id:
            del self._entries[session_id]

    def remove(self, session_id: str, beat: int) -> bool:
        """Ends a session, unless its beat is another by now; returns whether it did."""
        entry = self._entries.get(session_id)
        if entry is None or entry.beat != beat:
            return False
        del self._entries[session_id]
        return True

    def clear(self) -> None:
        """Ends all sessions, as a restore from backup does. Beats go on from where they are."""
        self._entries.clear()

    def standing(self) -> Counter[tuple[int, timedelta | None]]:
        """Counts the sessions by revision acknowledged and longest lease that may be in force."""
        entries = self._entries.values()
        return Counter((entry.acknowledged, entry.allowance.in_force) for entry in entries)


def credited(claim: Claim, head: Head) -> int:
    """Returns the revision to note for *claim*: its own, or 0 if it was not granted by these books.

    A claim of another epoch, or above the head, is from before a restore or from another authority.
    Its verifier has to drop what it cached (*reset*), and changes wait for it until it has.
    """
    if claim.epoch != head.epoch or claim.revision > head.revision:
        return 0
    return claim.revision


def resets(claim: Claim, head: Head) -> bool:
    """Returns whether the answer to *claim* is a reset."""
    return credited(claim, head) != claim.revision or claim.epoch != head.epoch


class Janitor:
    """Remembers since when each session stands still, by its own clock alone.

    A session may be deleted once neither its id nor its beat has moved for W: beats are never given
    twice, so one seen again is the same lease, and that lease is over.
    """

    def __init__(self) -> None:
        self._still: dict[tuple[str, int], float] = {}

    def look(
        self, sessions: Iterable[tuple[str, int]], now: float, wait: float
    ) -> list[tuple[str, int]]:
        """Returns which of *sessions* (id, beat) to delete, if their beat is still the same by then.

        *now* was read after the sessions, *wait* is W.
        """
        self._still = {session: self._still.get(session, now) for session in sessions}
        return [session for session, since in self._still.items() if now - since >= wait]
