"""Slices in the books: whose they are, how they change in one transaction, where they are kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keyauthority.escrow.slices import Slice, SliceKey

MOST_SLICES: Final = 5_000
"""The most slices of one session in one workspace: each beyond the latest has holds of running requests.

Each recall closes one, and so many it may be while the longest request runs: one a second by each of
eight processes, for ten minutes.
"""


@dataclass(frozen=True, slots=True)
class OwnedSlice:
    """A slice of a session of that caller.

    Once the session is over it is set aside: at `release_time` what is left of it goes back.
    """

    workspace_id: str
    session_id: str
    caller_id: str
    slice: Slice
    release_time: datetime | None = None

    @property
    def key(self) -> SliceKey:
        """Its name within the workspace."""
        return self.session_id, self.slice.number


@dataclass(frozen=True, slots=True)
class Shared:
    """How many sessions, of some, have something in an open slice of a workspace, and how much in all."""

    sessions: int = 0
    amount: int = 0

    def less(self, some: Shared) -> Shared:
        """Returns what is left without *some* of these sessions."""
        return Shared(self.sessions - some.sessions, self.amount - some.amount)


class SliceSheet:
    """The slices of some sessions in one workspace under change, in one transaction.

    Args:
        workspace_id: The workspace.
        slices: All that there are of these sessions.
    """

    def __init__(self, workspace_id: str, slices: Iterable[OwnedSlice] = ()) -> None:
        self._workspace_id = workspace_id
        self._slices = {one.key: one for one in slices}
        self._changed: dict[SliceKey, None] = {}
        self._forgotten: dict[SliceKey, OwnedSlice] = {}
        self._numbers: dict[str, set[int]] = {}
        for session_id, number in self._slices:
            self._numbers.setdefault(session_id, set()).add(number)

    def of_caller(self, key: SliceKey, caller_id: str) -> OwnedSlice | None:
        """Returns that slice if it is there and of a session of the caller."""
        one = self._slices.get(key)
        return one if one is not None and one.caller_id == caller_id else None

    def slice_of(self, key: SliceKey, caller_id: str) -> Slice | None:
        """Returns the same without its owner."""
        one = self._slices.get(key)
        return one.slice if one is not None and one.caller_id == caller_id else None

    def latest(self, session_id: str) -> OwnedSlice | None:
        """Returns the session's slice with the highest number."""
        numbers = self._numbers.get(session_id)
        return self._slices[session_id, max(numbers)] if numbers else None

    def full(self, session_id: str) -> bool:
        """Whether the session has as many slices as it may."""
        return len(self._numbers.get(session_id, ())) >= MOST_SLICES

    def put(self, session_id: str, caller_id: str, slice_: Slice) -> None:
        """Replaces that slice of the session, or adds it."""
        key = session_id, slice_.number
        before = self._slices.get(key)
        if before is None:
            owned = OwnedSlice(self._workspace_id, session_id, caller_id, slice_)
            self._numbers.setdefault(session_id, set()).add(slice_.number)
        else:
            at = before.release_time
            owned = OwnedSlice(self._workspace_id, session_id, before.caller_id, slice_, at)
        self._slices[key] = owned
        self._changed[key] = None

    def shared(self, beside: str = "") -> Shared:
        """Returns what these sessions, but for *beside*, have in open slices."""
        spendable = [
            one
            for one in self._slices.values()
            if one.slice.amount and not one.slice.closed and one.release_time is None
        ]
        others = [one for one in spendable if one.session_id != beside]
        sessions = {one.session_id for one in others}
        return Shared(len(sessions), sum(one.slice.amount for one in others))

    def forget(self) -> None:
        """Forgets what is closed and empty, at the end of a call.

        But not the highest number of a session: a call that comes late must find that it has been passed.
        """
        highest = {session_id: max(numbers) for session_id, numbers in self._numbers.items()}
        # One that was closed, and empty, before may have been passed now.
        for key, one in list(self._slices.items()):
            if one.slice.closed and not one.slice.amount and key[1] < highest[key[0]]:
                self._forgotten[key] = one
                self._changed.pop(key, None)
                self._numbers[key[0]].remove(key[1])
                del self._slices[key]

    def to_write(self) -> tuple[list[OwnedSlice], list[OwnedSlice]]:
        """Returns the slices to put, and those to forget."""
        return [self._slices[key] for key in self._changed], list(self._forgotten.values())
