"""Entering what requests cost, in one transaction."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from keyauthority.domain import limits
from keyauthority.domain.auditing import Signature
from keyauthority.domain.errors import KeyAuthorityError, invalid
from keyauthority.domain.ledger import Entry, Kind, Use
from keyauthority.domain.sheets import Sheet
from keyauthority.domain.slices import SliceSheet
from keyauthority.escrow import slices as escrow
from keyauthority.escrow.slices import Charged, Part, SliceKey

MODEL_LENGTH: Final = 256
PATH_LENGTH: Final = 256
ID_LENGTH: Final = 128
CLASSES: Final = 32
"""The most classes of usage that a charge counts."""
CLASS_LENGTH: Final = 32
STATUS: Final = 999


class ChargeState(enum.Enum):
    """What became of a charge. The contract has the same numbers and explains them."""

    ENTERED = 1
    KNOWN = 2
    UNKNOWN_KEY = 3
    OUT_OF_RANGE = 4
    REFUSED = 5
    REFERENCE_REUSED = 6


# Not frozen: one is made for each charge, and that would take several times as long. Nobody changes it.
@dataclass(slots=True)
class Charge:
    """What one request cost. `parts` is what was held for it, by slice, the oldest first.

    `time` is when the request was; None: now.
    """

    reference: str
    workspace_id: str
    cost: int
    parts: Sequence[tuple[SliceKey, int]] = ()
    use: Use = field(default_factory=Use)
    time: datetime | None = None

    @property
    def name(self) -> tuple[str, str]:
        """Its name in the books."""
        return self.workspace_id, self.reference


@dataclass(slots=True)
class Counts:
    """What was charged, granted and found wanting, for metrics; amounts in nano-credits.

    `over` is what charges cost beyond their holds, `late` what was held in slices given back before,
    `short` what slices lacked of holds that were said to be in them, `cut` what charges without a
    hold, adjustments and refunds took beyond what was available. `differing` counts charges sent again with another body.
    """

    charges: Counter[ChargeState] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    charged: int = 0
    estimated: int = 0
    granted: int = 0
    over: int = 0
    late: int = 0
    short: int = 0
    cut: int = 0
    differing: int = 0
    recalls: int = 0

    def add(self, more: Counts) -> None:
        """Adds what one transaction counted, once it is committed."""
        self.charges.update(more.charges)
        self.words.update(more.words)
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(more, name))


_NUMBERS: Final = (
    *("charged", "estimated", "granted", "over", "late", "short", "cut", "differing", "recalls"),
)


class Charging:
    """Enters charges on the sheets of one transaction.

    Args:
        by: Whoever brings the charges.
        sheets: The locked accounts of the workspaces, by id.
        slices: Their slices of the sessions that the charges name.
        known: The entries under the charges' names that there are; gets those that are entered.
        homes: The workspace's id of each key that exists.
        session_id: The session that charges are of for which no slice says another; empty if none.
    """

    def __init__(
        self,
        by: Signature,
        sheets: Mapping[str, Sheet],
        slices: Mapping[str, SliceSheet],
        known: dict[tuple[str, str], Entry],
        homes: Mapping[str, str],
        session_id: str = "",
    ) -> None:
        self.counts = Counts()
        self.cut: set[str] = set()
        """The workspaces of which charges without a hold took more than was available."""
        self._by = by
        self.sheets = sheets
        self._slices = slices
        self._known = known
        self._homes = homes
        self._session_id = session_id

    def entry_of(self, charge: Charge) -> Entry | None:
        """Returns the entry under the charge's name, of before or of this transaction."""
        return self._known.get(charge.name)

    def enter(self, charge: Charge) -> ChargeState:
        """Enters a charge once: the first under its name counts."""
        state = self._state(charge)
        self.counts.charges[state] += 1
        return state

    def _state(self, charge: Charge) -> ChargeState:
        before = self.entry_of(charge)
        if before is not None:
            if before.kind is not Kind.CHARGE:
                return ChargeState.REFERENCE_REUSED
            self.counts.differing += not _same(before, charge)
            return ChargeState.KNOWN
        sheet = self.sheets.get(charge.workspace_id)
        if sheet is None or self._homes.get(charge.use.key_id) != charge.workspace_id:
            # A key that was revoked or paused since counts: what it used is charged.
            return ChargeState.UNKNOWN_KEY
        available = max(sheet.account.available, 0)
        parts = self._parts(charge)
        charged = escrow.charge(sheet.account, charge.cost, parts)
        use = charge.use.of(self._session_of(parts))
        try:
            entry = sheet.reduce(
                Kind.CHARGE, charge.cost, charge.reference, self._by, use=use, time=charge.time
            )
        except KeyAuthorityError:
            return ChargeState.OUT_OF_RANGE
        # The same balance; of what stands in slices the charge took its part.
        sheet.account = charged.account
        for (session_id, _), slice_ in charged.slices.items():
            self._slices[charge.workspace_id].put(session_id, self._by.caller_id, slice_)
        self._known[charge.name] = entry
        self._count(charge, charged, available)
        return ChargeState.ENTERED

    def _parts(self, charge: Charge) -> list[Part]:
        slice_of = self._slices[charge.workspace_id].slice_of
        caller_id = self._by.caller_id
        return [Part(key, slice_of(key, caller_id), held) for key, held in charge.parts]

    def _session_of(self, parts: Iterable[Part]) -> str:
        # What a caller says of sessions need not be true: only its own slices are proof.
        for part in parts:
            if part.slice is not None:
                return part.key[0]
        return self._session_id

    def _count(self, charge: Charge, charged: Charged, available: int) -> None:
        counts = self.counts
        counts.charged += charge.cost
        counts.estimated += charge.use.estimated
        if charge.parts:
            counts.over += charged.over
        elif charge.cost > available:
            counts.cut += charge.cost - available
            self.cut.add(charge.workspace_id)
        counts.late += charged.late
        counts.short += charged.short


def _same(before: Entry, charge: Charge) -> bool:
    # Whoever brings a charge from a spool need not know any more what was held for it, and where.
    said = replace(charge.use, held=0, session_id="")
    return before.amount == -charge.cost and replace(before.use, held=0, session_id="") == said


def check(charges: Iterable[Charge]) -> None:
    """Raises `FIELD_INVALID` if a charge breaks the limits of the contract."""
    for index, charge in enumerate(charges):
        try:
            _check(charge)
        except KeyAuthorityError as error:
            field_ = f"charges[{index}].{error.metadata['field']}"
            raise KeyAuthorityError(
                error.reason, f"charges[{index}].{error.message}", field=field_, index=str(index)
            ) from None


_TEXTS: Final = {
    "workspace_id": ID_LENGTH,
    "key_id": ID_LENGTH,
    "model": MODEL_LENGTH,
    "path": PATH_LENGTH,
    "request_id": ID_LENGTH,
    "price_id": ID_LENGTH,
}
"""The texts of a charge, and how long each may be."""

_SHORTEST: Final = min(_TEXTS.values())


def is_valid(charge: Charge) -> bool:
    """Returns whether a charge keeps to the limits of the contract."""
    try:
        _check(charge)
    except KeyAuthorityError:
        return False
    return True


def _check(charge: Charge) -> None:
    limits.reference(charge.reference, "reference")
    limits.in_range(charge.cost, "cost_nano_credits")
    for (session_id, number), held in charge.parts:
        limits.short(session_id, "holds.session_id", ID_LENGTH)
        limits.in_range(held, "holds.nano_credits")
        limits.counted(number, "holds.number")
    use = charge.use
    limits.in_range(use.held, "holds")
    _check_texts(charge)
    _check_counts(use.counts)
    if not 0 <= use.status <= STATUS:
        raise invalid("status", f"is not from 0 to {STATUS}")


def _check_texts(charge: Charge) -> None:
    use = charge.use
    texts = charge.workspace_id, use.key_id, use.model, use.path, use.request_id, use.price_id
    # As nearly always: only if it is otherwise it matters which text it is.
    if max(map(len, texts)) <= _SHORTEST and "".join(texts).isprintable():
        return
    for text, (field_, length) in zip(texts, _TEXTS.items(), strict=True):
        limits.short(text, field_, length)


def _check_counts(counts: Mapping[str, int]) -> None:
    limits.at_most(counts, CLASSES, "counts")
    for name, count in counts.items():
        if not name.isprintable() or not 1 <= len(name) <= CLASS_LENGTH:
            raise invalid("counts", f"has a name that is not 1 to {CLASS_LENGTH} characters")
        if count < 0:
            raise invalid("counts", "has a negative number")


def cleaned(use: Use) -> Use:
    """Returns *use* without characters that can't be printed: clients name models and paths."""
    texts = (use.model, use.path, use.request_id, use.price_id)
    if "".join(texts).isprintable():
        return use
    model, path, request_id, price_id = map(_printable, texts)
    return replace(use, model=model, path=path, request_id=request_id, price_id=price_id)


def _printable(text: str) -> str:
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
