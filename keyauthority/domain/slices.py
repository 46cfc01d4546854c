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
    """How many other sessions have something in an open slice of a workspace, and how much in all."""

    sessions: int = 0
    amount: int = 0


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
        self._numbers: dict[str, set[int]] = {}
        for session_id, number in self._slices:
            self._numbers.setdefault(session_id, set()).add(number)

    def of_caller(self, key: SliceKey, caller_id: str) -> OwnedSlice | None:
        """Returns that slice if it is there and of a session of the caller."""
        one = self._slices.get(key)
        return one if one is not None and one.caller_id == caller_id else None

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

    def to_write(self) -> tuple[list[OwnedSlice], list[OwnedSlice]]:
        """Returns the slices to put, and those to forget.

        What is closed and empty is forgotten, but not the highest number of a session: a call that
        comes late must find that it has been passed.
        """
        put: list[OwnedSlice] = []
        forgotten: list[OwnedSlice] = []
        highest = {session_id: max(numbers) for session_id, numbers in self._numbers.items()}
        # One that was closed, and empty, before may have been passed now.
        for key, one in self._slices.items():
            empty = one.slice.closed and not one.slice.amount
            if empty and key[1] < highest[key[0]]:
                forgotten.append(one)
            elif key in self._changed:
                put.append(one)
        return put, forgotten
