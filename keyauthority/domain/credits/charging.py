"""Entering what requests cost, in one transaction."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from keyauthority.domain import limits
from keyauthority.domain.auditing import Signature
from keyauthority.domain.errors import KeyAuthorityError, invalid
from keyauthority.domain.ledger import NO_USE, Entry, Kind, Sheet, Use
from keyauthority.domain.slices import MOST_SLICES, SliceSheet
from keyauthority.escrow.slices import Charged, Part, SliceKey, charge
from keyauthority.pricing.amounts import LARGEST_AMOUNT

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


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request cost. `parts` is what was held for it, by slice, the oldest first.

    `time` is when the request was; None: now.
    """

    reference: str
    workspace_id: str
    cost: int
    parts: Sequence[tuple[SliceKey, int]] = ()
    use: Use = NO_USE
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
    hold took beyond what was available. `differing` counts charges sent again with another body.
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
        known: The entries under the charges' names that there are.
        homes: The workspace's id of each key that exists.
    """

    def __init__(
        self,
        by: Signature,
        sheets: Mapping[str, Sheet],
        slices: Mapping[str, SliceSheet],
        known: Mapping[tuple[str, str], Entry],
        homes: Mapping[str, str],
    ) -> None:
        self.counts = Counts()
        self.cut: set[str] = set()
        """The workspaces of which charges without a hold took more than was available."""
        self._by = by
        self.sheets = sheets
        self._slices = slices
        self._known = dict(known)
        self._homes = homes

    def entry_of(self, one: Charge) -> Entry | None:
        """Returns the entry under the charge's name, of before or of this transaction."""
        return self._known.get(one.name)

    def enter(self, one: Charge) -> ChargeState:
        """Enters a charge once: the first under its name counts."""
        state = self._state(one)
        self.counts.charges[state] += 1
        return state

    def _state(self, one: Charge) -> ChargeState:
        before = self.entry_of(one)
        if before is not None:
            self.counts.differing += not _same(before, one)
            return ChargeState.KNOWN
        sheet = self.sheets.get(one.workspace_id)
        if sheet is None or self._homes.get(one.use.key_id) != one.workspace_id:
            # A key that was revoked or paused since counts: what it used is charged.
            return ChargeState.UNKNOWN_KEY
        available = max(sheet.account.available, 0)
        charged = charge(sheet.account, one.cost, self._parts(one))
        try:
            entry = sheet.reduce(
                Kind.CHARGE, one.cost, one.reference, self._by, use=one.use, time=one.time
            )
        except KeyAuthorityError:
            return ChargeState.OUT_OF_RANGE
        # The same balance; of what stands in slices the charge took its part.
        sheet.account = charged.account
        for (session_id, _), slice_ in charged.slices.items():
            self._slices[one.workspace_id].put(session_id, self._by.caller_id, slice_)
        self._known[one.name] = entry
        self._count(one, charged, available)
        return ChargeState.ENTERED

    def _parts(self, one: Charge) -> list[Part]:
        parts = []
        for key, held in one.parts:
            owned = self._slices[one.workspace_id].of_caller(key, self._by.caller_id)
            parts.append(Part(key, None if owned is None else owned.slice, held))
        return parts

    def _count(self, one: Charge, charged: Charged, available: int) -> None:
        counts = self.counts
        counts.charged += one.cost
        counts.estimated += one.use.estimated
        if one.parts:
            counts.over += charged.over
        elif one.cost > available:
            counts.cut += one.cost - available
            self.cut.add(one.workspace_id)
        counts.late += charged.late
        counts.short += charged.short


def _same(before: Entry, one: Charge) -> bool:
    return (before.kind, before.amount) == (Kind.CHARGE, -one.cost) and before.use == one.use


def check(charges: Iterable[Charge]) -> None:
    """Raises `FIELD_INVALID` if a charge breaks the limits of the contract."""
    for index, one in enumerate(charges):
        try:
            _check(one)
        except KeyAuthorityError as error:
            field_ = f"charges[{index}].{error.metadata['field']}"
            raise KeyAuthorityError(
                error.reason, f"charges[{index}].{error.message}", field=field_, index=str(index)
            ) from None


def _check(one: Charge) -> None:
    limits.reference(one.reference, "reference")
    in_range(one.cost, "cost_nano_credits")
    if len(one.parts) > MOST_SLICES:
        raise invalid("holds", f"has {len(one.parts)} entries, more than {MOST_SLICES:,}")
    for (session_id, number), held in one.parts:
        short(session_id, "holds.session_id")
        in_range(held, "holds.nano_credits")
        counted(number, "holds.number")
    use = one.use
    in_range(use.held, "holds")
    for text, field_, length in (
        (one.workspace_id, "workspace_id", ID_LENGTH),
        (use.key_id, "key_id", ID_LENGTH),
        (use.model, "model", MODEL_LENGTH),
        (use.path, "path", PATH_LENGTH),
        (use.request_id, "request_id", ID_LENGTH),
        (use.price_id, "price_id", ID_LENGTH),
    ):
        short(text, field_, length)
    _check_counts(use.counts)
    if not 0 <= use.status <= STATUS:
        raise invalid("status", f"is not from 0 to {STATUS}")


def _check_counts(counts: Mapping[str, int]) -> None:
    if len(counts) > CLASSES:
        raise invalid("counts", f"has {len(counts)} entries, more than {CLASSES}")
    for name, count in counts.items():
        if not name.isprintable() or not 1 <= len(name) <= CLASS_LENGTH:
            raise invalid("counts", f"has a name that is not 1 to {CLASS_LENGTH} characters")
        if count < 0:
            raise invalid("counts", "has a negative number")


def in_range(nano_credits: int, field_: str, most: int = LARGEST_AMOUNT) -> None:
    """Raises `FIELD_INVALID` for an amount that is not from 0 to *most*."""
    if not 0 <= nano_credits <= most:
        raise invalid(field_, f"is not from 0 to {most}")


def short(text: str, field_: str, most: int = ID_LENGTH) -> None:
    """Raises `FIELD_INVALID` for a text that is longer than *most*."""
    if len(text) > most:
        raise invalid(field_, f"is longer than {most} characters")


def counted(number: int, field_: str) -> None:
    """Raises `FIELD_INVALID` for a number that does not count from 1."""
    if number < 1:
        raise invalid(field_, "is not 1 or more")


def at_most(entries: Collection[object], most: int, field_: str) -> None:
    """Raises `FIELD_INVALID` for a list that is longer than *most*."""
    if len(entries) > most:
        raise invalid(field_, f"has {len(entries)} entries, more than {most:,}")


def cleaned(use: Use) -> Use:
    """Returns *use* without characters that can't be printed: clients name models and paths."""
    texts = (use.model, use.path, use.request_id, use.price_id)
    if "".join(texts).isprintable():
        return use
    model, path, request_id, price_id = map(_printable, texts)
    return replace(use, model=model, path=path, request_id=request_id, price_id=price_id)


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
