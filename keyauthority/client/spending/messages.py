"""What a verifier says of credits, as the contract's messages, and the words of the answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from keyauthority.client.spending.records import SpooledCharge
from keyauthority.client.spending.room import MOST, WHOLE, Room
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

_WORDS: Final = {
    v1.SLICE_WORD_GRANTED: Word.GRANTED,
    v1.SLICE_WORD_OUT: Word.OUT,
    v1.SLICE_WORD_BUSY: Word.BUSY,
}


def word_of(answer: v1.SliceAnswer) -> Word:
    """Returns the word of *answer*. One that only newer versions know grants nothing: `PASSED`."""
    return _WORDS.get(answer.word, Word.PASSED)


@dataclass(slots=True, eq=False)
class Message:
    """What one call says, of several workspaces."""

    session_id: str
    parts: list[Part] = field(default_factory=list)
    closings: int = 0
    room: Room = WHOLE
    """The charges that may be added, if anything may."""

    @property
    def is_full(self) -> bool:
        """Whether nothing may be added."""
        return self.closings >= MOST or len(self.parts) >= MOST or not self.room.charges

    def add(self, part: Part) -> None:
        """Adds *part*, which fits."""
        # Those that are left out are said with the next message.
        del part.closings[MOST - self.closings :]
        self.parts.append(part)
        self.room = self.room.less(part.charges)
        self.closings += len(part.closings)

    @property
    def calls(self) -> list[Part]:
        """The parts that ask for something, in the order of the answers."""
        return [part for part in self.parts if part.call is not None]

    def encoded(self) -> v1.SettleRequest:
        """Returns the message of the contract."""
        return v1.SettleRequest(
            session_id=self.session_id if self.calls else "",
            charges=[charge_message(one) for part in self.parts for one in part.charges],
            closings=[
                _closing(part.workspace.id, purse, closing)
                for part in self.parts
                for purse, closing in part.closings
            ],
            slices=[
                _slice(part.workspace.id, part.call) for part in self.parts if part.call is not None
            ],
        )


def charges_message(
    charges: Iterable[SpooledCharge], closings: Iterable[tuple[str, str, int]] = ()
) -> v1.SettleRequest:
    """Returns the message that brings *charges*, and closes slices: workspace, session, number."""
    return v1.SettleRequest(
        charges=map(charge_message, charges),
        closings=[
            v1.SliceClosing(workspace_id=workspace_id, session_id=session_id, number=number)
            for workspace_id, session_id, number in closings
        ],
    )


def charge_message(charge: SpooledCharge) -> v1.Charge:
    """Returns the message of *charge*."""
    return v1.Charge(
        reference=charge.reference,
        workspace_id=charge.workspace_id,
        cost_nano_credits=charge.cost,
        holds=[
            v1.HoldPart(session_id=session_id, number=number, nano_credits=amount)
            for (session_id, number), amount in charge.parts.items()
        ],
        key_id=charge.key_id,
        model=charge.model,
        path=charge.path,
        request_id=charge.request_id,
        counts=charge.counts,
        price_id=charge.price_id,
        estimated=charge.estimated,
        status=charge.status,
    )


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
