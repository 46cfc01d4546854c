"""Sessions: the book of them where one process is the whole authority, what their claims are worth, and
when one ends of whose verifier nobody hears any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from keyauthority.domain.sessions import WHOLE, Allowance, Claim, Head


@dataclass(slots=True)
class Entry:
    """A session as the authority knows it; `beat` is never given twice."""

    caller_id: str
    beat: int
    acknowledged: int
    allowance: Allowance = WHOLE


class SessionBook:
    """Who may hold a lease, and up to where each has said to have applied all changes.

    An entry stands from before its first lease is granted until its last one is over: only its
    verifier, or a janitor that saw it stand still for W, may end it.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._beats = 0

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._entries

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return iter(self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)

    def of_caller(self, caller_id: str) -> int:
        """How many sessions the caller has."""
        return sum(entry.caller_id == caller_id for entry in self._entries.values())

    def join(self, session_id: str, caller_id: str) -> None:
        """Writes down a session that has acknowledged nothing, under an id that was never used."""
        self._beats += 1
        self._entries[session_id] = Entry(caller_id, self._beats, 0)

    def beat(self, session_id: str, caller_id: str) -> bool:
        """Gives the caller's session its next beat; False if there is no such session."""
        entry = self._entries.get(session_id)
        if entry is None or entry.caller_id != caller_id:
            return False
        self._beats += 1
        entry.beat = self._beats
        return True

    def acknowledge(self, session_id: str, revision: int) -> None:
        """Writes down what a session has applied: not less than before, but for 0, which is a reset."""
        entry = self._entries.get(session_id)
        if entry is not None:
            entry.acknowledged = max(entry.acknowledged, revision) if revision else 0

    def allowance(self, session_id: str) -> Allowance:
        """What the session may be granted; that of one which is gone is of no weight."""
        entry = self._entries.get(session_id)
        return WHOLE if entry is None else entry.allowance

    def allow(self, session_id: str, before: Allowance, after: Allowance) -> bool:
        """Gives the session another allowance, unless it has another by now; whether it did."""
        entry = self._entries.get(session_id)
        if entry is None or entry.allowance != before:
            return False
        self._beats += 1
        entry.allowance = replace(after, number=self._beats)
        return True

    def leave(self, session_id: str, caller_id: str) -> None:
        """Ends the caller's session, which answers from its cache no more."""
        entry = self._entries.get(session_id)
        if entry is not None and entry.caller_id == caller_id:
            del self._entries[session_id]

    def remove(self, session_id: str, beat: int) -> None:
        """Ends a session that a janitor saw stand still, unless it moved since."""
        entry = self._entries.get(session_id)
        if entry is not None and entry.beat == beat:
            del self._entries[session_id]

    def clear(self) -> None:
        """Ends all sessions, as a restore from backup does. Beats go on: none is given twice."""
        self._entries.clear()

    def standing(self) -> tuple[tuple[int, ...], tuple[timedelta | None, ...]]:
        """What each session has acknowledged, and the longest lease of its that may be in force."""
        entries = self._entries.values()
        return (
            tuple(entry.acknowledged for entry in entries),
            tuple(entry.allowance.in_force for entry in entries),
        )


def credited(claim: Claim, head: Head) -> int:
    """The revision to write down for *claim*: its own, or 0 if the books can't have told it that.

    A claim of another epoch, or above the head, is from before a restore or from another
    authority. Whoever makes it has to drop what it cached (*reset*), and is waited for until it says
    that it did.
    """
    if claim.epoch != head.epoch or claim.revision > head.revision:
        return 0
    return claim.revision


def resets(claim: Claim, head: Head) -> bool:
    """Whether the answer to *claim* is a reset."""
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
        """Which of *sessions* (id, beat) to delete, if their beat is still the same by then.

        *now* is read after the sessions were, *wait* is W.
        """
        self._still = {each: self._still.get(each, now) for each in sessions}
        return [each for each, since in self._still.items() if now - since >= wait]
