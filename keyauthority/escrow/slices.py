"""The authority's side: what a workspace has, what stands in slices, and what a call changes of it.

Everything is a value; what a call changes is returned, to be written down in one transaction. The
session that a call is of is locked meanwhile, and the account: no two calls decide on the same credits.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

SliceKey = tuple[str, int]
"""A slice of a workspace: its session's id, and its number there."""


@dataclass(frozen=True, slots=True)
class Account:
    """The credits of a workspace: the sum of its entries, and what of that stands in slices."""

    balance: int
    escrowed: int = 0

    @property
    def available(self) -> int:
        """What may be set apart. Below zero after a reduction, or charges beyond their holds."""
        return self.balance - self.escrowed


def at_least(least: int, **values: int) -> None:
    """Raises `ValueError`, naming the value, if one of *values* is less than *least*."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} is at least {least}, not {value}")


class Word(enum.Enum):
    """What the authority says to a request for credits. The contract has the same numbers."""

    GRANTED = 1
    OUT = 2
    """Nothing is available, since the balance is zero or less."""
    BUSY = 3
    """Nothing is available, since other slices hold it."""
    PASSED = 4
    """The slice, or the call, is not the latest: nothing was granted or changed."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Credits of one workspace, set apart for one session, which numbers its slices from 1.

    `sequence` is that of the last call, `granted` and `word` what that was answered.
    """

    number: int
    amount: int = 0
    sequence: int = 0
    granted: int = 0
    word: Word = Word.GRANTED
    closed: bool = False

    def __post_init__(self) -> None:
        """Raises `ValueError` if it is no slice."""
        if self.number < 1 or self.amount < 0 or self.sequence < 0 or self.granted < 0:
            at_least(1, number=self.number)
            at_least(0, amount=self.amount, sequence=self.sequence, granted=self.granted)

    def of(self, amount: int) -> Slice:
        """Returns the same slice with *amount* in it."""
        return Slice(self.number, amount, self.sequence, self.granted, self.word, self.closed)


@dataclass(frozen=True, slots=True)
class SliceCall:
    """What a verifier says of a slice and asks for it.

    `keep` is what it holds and has free there, the charges of the same call already taken off. It
    has to have `need`, for a request that waits, and would like `want`.
    """

    number: int
    sequence: int
    keep: int
    want: int = 0
    need: int = 0

    def __post_init__(self) -> None:
        """Raises `ValueError` if no verifier can mean it."""
        at_least(1, number=self.number, sequence=self.sequence)
        at_least(0, keep=self.keep, want=self.want, need=self.need)


@dataclass(frozen=True, slots=True)
class SliceClosing:
    """A verifier will not spend from the slice again, and holds `keep` of it."""

    number: int
    keep: int

    def __post_init__(self) -> None:
        """Raises `ValueError` if no verifier can mean it."""
        at_least(1, number=self.number)
        at_least(0, keep=self.keep)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a call left of the account, and its answer.

    `slices` are those to store, the one that the call is about last. There are none if the call
    changed nothing: it is a repeat, has been passed, or begins one slice too many.
    """

    account: Account
    word: Word
    granted: int = 0
    slices: tuple[Slice, ...] = ()


def grant(account: Account, call: SliceCall, sharers: int) -> tuple[Word, int]:
    """Returns what *call* gets of what is available, where *sharers* sessions have a slice.

    *sharers* counts the caller's session too. Nobody gets more than half of an equal share but for a
    request that waits. What is granted never takes `available` below zero.
    """
    if not call.want and not call.need:
        return Word.GRANTED, 0
    at_least(1, sharers=sharers)
    available = account.available
    if available <= 0:
        return (Word.OUT if account.balance <= 0 else Word.BUSY), 0
    return Word.GRANTED, min(available, max(call.need, min(call.want, available // (2 * sharers))))


def settle(
    account: Account,
    latest: Slice | None,
    call: SliceCall,
    sharers: int,
    *,
    full: bool = False,
    on_return: Callable[[Account], Account] = lambda account: account,
) -> Settled:
    """Applies *call* of a living session whose latest slice of the workspace is *latest*.

    A repeated call is answered as the first time and grants nothing again. A higher number begins a
    new slice, unless the session's slices are *full*, and closes the latest. Whoever stores slices
    keeps the highest number while the session lives.

    *on_return* does what has to be done with credits that come back before they are granted again.
    """
    answer = answered(account, latest, call)
    if answer is not None:
        return answer
    if full and (latest is None or call.number > latest.number):
        return Settled(account, Word.BUSY)
    before = account.escrowed
    slice_ = latest if latest and latest.number == call.number else Slice(call.number)
    # A slice never grows by what is kept.
    account, slice_ = _kept(account, slice_, call.keep)
    if account.escrowed < before:
        account = on_return(account)
    word, granted = grant(account, call, sharers)
    slice_ = replace(
        slice_,
        amount=slice_.amount + granted,
        sequence=call.sequence,
        granted=granted,
        word=word,
    )
    account = replace(account, escrowed=account.escrowed + granted)
    if latest is None or latest.number == slice_.number:
        return Settled(account, word, granted, (slice_,))
    # What is held of the lower one stays.
    return Settled(account, word, granted, (replace(latest, closed=True), slice_))


def answered(account: Account, latest: Slice | None, call: SliceCall) -> Settled | None:
    """Returns the answer to a call that is a repeat or has been passed; None: it is to be served."""
    if latest is None or call.number > latest.number:
        return None
    if call.number == latest.number and call.sequence == latest.sequence:
        return Settled(account, latest.word, latest.granted)
    if call.number < latest.number or latest.closed or call.sequence < latest.sequence:
        return Settled(account, Word.PASSED)
    return None


def close(account: Account, slice_: Slice, keep: int) -> tuple[Account, Slice]:
    """Applies a closing, which may come late, twice, or from whoever has the spool.

    Of a slice that nobody has heard of it may come before its first call: then `Slice(number)` is
    closed, and stored, so that the call grants nothing.
    """
    account, slice_ = _kept(account, slice_, keep)
    return account, replace(slice_, closed=True)


def give_back(account: Account, slice_: Slice) -> tuple[Account, Slice]:
    """Returns what is left of a slice of a session that ended long enough ago."""
    return close(account, slice_, 0)


def _kept(account: Account, slice_: Slice, keep: int) -> tuple[Account, Slice]:
    returned = max(slice_.amount - keep, 0)
    if not returned:
        return account, slice_
    return Account(account.balance, account.escrowed - returned), slice_.of(
        slice_.amount - returned
    )


# Not frozen: one is made for each charge, and that would take several times as long. Nobody changes it.
@dataclass(slots=True)
class Part:
    """What was held for a request in one slice; None if that was given back or voided, or is not
    the caller's.
    """

    key: SliceKey
    slice: Slice | None
    held: int

    def __post_init__(self) -> None:
        """Raises `ValueError` if no verifier can mean it."""
        if self.key[1] < 1 or self.held < 0:
            at_least(1, number=self.key[1])
            at_least(0, held=self.held)


# Not frozen: one is made for each charge, and that would take several times as long. Nobody changes it.
@dataclass(slots=True)
class Charged:
    """What a charge left, and how far it went beyond what stood for it, by the reason.

    `over` is what it cost beyond its hold; `late` what of its hold no longer stood in a slice; `short`
    what a slice lacked of the hold that was said to be in it: by an honest verifier, nothing.
    """

    account: Account
    slices: dict[SliceKey, Slice]
    over: int
    late: int
    short: int


def charge(account: Account, cost: int, parts: Sequence[Part]) -> Charged:
    """Charges *cost* for a request that held *parts*, the oldest slice first. It never fails.

    The balance is lowered by the cost, each slice by no more than was held in it: the rest of a slice
    belongs to other holds. Parts of the same slice lower it one after the other.
    """
    if cost < 0:
        at_least(0, cost=cost)
    left, late, short, escrowed = cost, 0, 0, account.escrowed
    slices: dict[SliceKey, Slice] = {}
    for part in parts:
        taken = min(left, part.held)
        left -= taken
        slice_ = slices.get(part.key, part.slice)
        if slice_ is None:
            late += taken
            continue
        there = min(taken, slice_.amount)
        short += taken - there
        escrowed -= there
        slices[part.key] = slice_.of(slice_.amount - there)
    return Charged(Account(account.balance - cost, escrowed), slices, left, late, short)
