"""What a verifier says of the credits that it spends, and what it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keyauthority.domain import limits
from keyauthority.domain.credits import charging
from keyauthority.domain.credits.charging import Charge, ChargeState
from keyauthority.domain.errors import invalid
from keyauthority.escrow.slices import SliceCall, SliceClosing, Word
from keyauthority.pricing.amounts import LARGEST_BALANCE

AT_ONCE: Final = 500
"""The most charges, closings and slices of one call, and the most sessions that it names."""
HOLDS: Final = 5_000
"""The most holds of all charges of one call."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A slice of the caller, perhaps of a session that is over, that is not spent from again."""

    workspace_id: str
    session_id: str
    closing: SliceClosing


@dataclass(frozen=True, slots=True)
class Call:
    """What a verifier says in one call: each of `slices` with its workspace, of that session."""

    session_id: str = ""
    charges: Sequence[Charge] = ()
    closings: Sequence[Closing] = ()
    slices: Sequence[tuple[str, SliceCall]] = ()

    @property
    def size(self) -> int:
        """How much it says: holds, charges without any, closings and slices."""
        holds = sum(len(one.parts) or 1 for one in self.charges)
        return holds + len(self.closings) + len(self.slices)

    @property
    def spending(self) -> set[str]:
        """The sessions of which it closes slices, or asks for some: whose they are matters."""
        return {self.session_id, *(one.session_id for one in self.closings)}

    @property
    def workspace_ids(self) -> set[str]:
        """The workspaces that it is about."""
        named = {one.workspace_id for one in self.charges}
        named.update(one.workspace_id for one in self.closings)
        named.update(workspace_id for workspace_id, _ in self.slices)
        return named

    @property
    def sessions(self) -> set[tuple[str, str]]:
        """The (workspace, session) whose slices it is about."""
        named = {
            (one.workspace_id, session_id)
            for one in self.charges
            for (session_id, _), _ in one.parts
        }
        named.update((one.workspace_id, one.session_id) for one in self.closings)
        named.update((workspace_id, self.session_id) for workspace_id, _ in self.slices)
        return named


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call: of each of its charges, and of each of its slices."""

    epoch: int
    session_over: bool
    charges: Sequence[ChargeState]
    slices: Sequence[tuple[Word, int]]


def check(call: Call) -> None:
    """Raises `FIELD_INVALID` if *call* breaks the limits of the contract, but for those of its charges.

    A charge that breaks some is refused by itself (`charging.is_valid`).
    """
    limits.at_most(call.charges, AT_ONCE, "charges")
    limits.at_most(call.closings, AT_ONCE, "closings")
    limits.at_most(call.slices, AT_ONCE, "slices")
    limits.short(call.session_id, "session_id", charging.ID_LENGTH)
    if call.slices and not call.session_id:
        raise invalid("session_id", "is empty, and slices are of a session")
    holds = [key for one in call.charges for key, _ in one.parts]
    limits.at_most(holds, HOLDS, "charges.holds")
    sessions = {session_id for session_id, _ in holds}
    sessions.update(one.session_id for one in call.closings)
    limits.at_most(sessions, AT_ONCE, "charges.holds.session_id")
    for one in call.closings:
        limits.short(one.workspace_id, "closings.workspace_id", charging.ID_LENGTH)
        limits.short(one.session_id, "closings.session_id", charging.ID_LENGTH)
        limits.in_range(one.closing.keep, "closings.keep_nano_credits", LARGEST_BALANCE)
    for workspace_id, slice_ in call.slices:
        limits.short(workspace_id, "slices.workspace_id", charging.ID_LENGTH)
        limits.in_range(slice_.keep, "slices.keep_nano_credits", LARGEST_BALANCE)
        limits.in_range(slice_.want, "slices.want_nano_credits")
        limits.in_range(slice_.need, "slices.need_nano_credits")
