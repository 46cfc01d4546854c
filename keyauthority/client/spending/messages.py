"""What a verifier says of credits, as the contract's messages, and the words of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from keyauthority.client.spending.records import SpooledCharge
from keyauthority.client.spending.room import MOST, WHOLE, Room
from keyauthority.client.spending.wire import in_request
from keyauthority.client.spending.workspace import Part
from keyauthority.escrow.purse import Call, Purse
from keyauthority.escrow.slices import SliceClosing, Word
from keyauthority.v1 import spending_service_pb2 as v1

ENTERED: Final = frozenset({v1.CHARGE_STATE_ENTERED, v1.CHARGE_STATE_KNOWN})
"""States of a charge that the books have."""

REFUSED: Final = frozenset(
    {
        v1.CHARGE_STATE_UNKNOWN_KEY,
        v1.CHARGE_STATE_OUT_OF_RANGE,
        v1.CHARGE_STATE_REFUSED,
        v1.CHARGE_STATE_REFERENCE_REUSED,
    }
)
"""States of a charge that the books can't have now."""

_ENTERED: Final = v1.SettleResponse(
    charges=[v1.ChargeAnswer(state=v1.CHARGE_STATE_ENTERED)]
).SerializeToString()

_WORDS: Final = {
    v1.SLICE_WORD_GRANTED: Word.GRANTED,
    v1.SLICE_WORD_OUT: Word.OUT,
    v1.SLICE_WORD_BUSY: Word.BUSY,
}


def states_of(reply: v1.SettleResponse) -> list[v1.ChargeState.ValueType] | None:
    """Returns what became of the charges, in their order; None if all were entered, as nearly always."""
    # Encoded, they are compared at once: to make an object for each takes ten times as long.
    answers = v1.SettleResponse()
    answers.CopyFrom(reply)
    for field_ in ("epoch", "session_over", "slices"):
        answers.ClearField(field_)
    if answers.SerializeToString() == _ENTERED * len(reply.charges):
        return None
    return [answer.state for answer in reply.charges]


def word_of(answer: v1.SliceAnswer) -> Word:
    """Returns the word of *answer*. One that only newer versions know grants nothing: `PASSED`."""
    return _WORDS.get(answer.word, Word.PASSED)


class Encoded(NamedTuple):
    """A `SettleRequest` as bytes, and how many answers it has to have."""

    content: bytes
    charges: int
    slices: int


@dataclass(slots=True, eq=False)
class Message:
    """What one call says, of several workspaces."""

    session_id: str
    parts: list[Part] = field(default_factory=list)
    closings: int = 0
    _room: Room = WHOLE
    # The parts that have their place in it.
    _placed: int = 0

    @property
    def room(self) -> Room:
        """The charges that may be added, if anything may."""
        while self._placed < len(self.parts):
            self._room = self._room.less(self.parts[self._placed].charges)
            self._placed += 1
        return self._room

    @property
    def is_full(self) -> bool:
        """Whether nothing may be added."""
        return self.closings >= MOST or len(self.parts) >= MOST or not self.room.charges

    def add(self, part: Part) -> None:
        """Adds *part*, which fits."""
        # Those that are left out are said with the next message.
        del part.closings[MOST - self.closings :]
        self.parts.append(part)
        self.closings += len(part.closings)

    @property
    def charges(self) -> list[SpooledCharge]:
        """Those of all parts, in the order of the answers."""
        return [charge for part in self.parts for charge in part.charges]

    @property
    def calls(self) -> list[Part]:
        """The parts that ask for something, in the order of the answers."""
        return [part for part in self.parts if part.call is not None]

    def encoded(self) -> Encoded:
        """Returns the message of the contract."""
        calls, charges = self.calls, self.charges
        others = v1.SettleRequest(
            session_id=self.session_id if calls else "",
            closings=[
                _closing(part.workspace.id, purse, closing)
                for part in self.parts
                for purse, closing in part.closings
            ],
            slices=[
                _slice(part.workspace.id, part.call) for part in calls if part.call is not None
            ],
        )
        return Encoded(_joined(charges, others), len(charges), len(calls))


def charges_message(
    charges: Sequence[SpooledCharge], closings: Iterable[tuple[str, str, int]] = ()
) -> Encoded:
    """Returns the message that brings *charges*, and closes slices: workspace, session, number."""
    others = v1.SettleRequest(
        closings=[
            v1.SliceClosing(workspace_id=workspace_id, session_id=session_id, number=number)
            for workspace_id, session_id, number in closings
        ],
    )
    return Encoded(_joined(charges, others), len(charges), 0)


def _joined(charges: Iterable[SpooledCharge], others: v1.SettleRequest) -> bytes:
    return in_request(charges) + others.SerializeToString()


def _closing(workspace_id: str, purse: Purse, closing: SliceClosing) -> v1.SliceClosing:
    return v1.SliceClosing(
        workspace_id=workspace_id,
        session_id=purse.session,
        number=closing.number,
        keep_nano_credits=closing.keep,
    )


def _slice(workspace_id: str, call: Call) -> v1.SliceCall:
    asked = call.request
    return v1.SliceCall(
        workspace_id=workspace_id,
        number=asked.number,
        sequence=asked.sequence,
        keep_nano_credits=asked.keep,
        want_nano_credits=asked.want,
        need_nano_credits=asked.need,
    )
