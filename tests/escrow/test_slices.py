"""What comes from a verifier is checked before it changes the account."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keyauthority.escrow.purse import Charge
from keyauthority.escrow.slices import (
    Account,
    Part,
    Slice,
    SliceCall,
    SliceClosing,
    charge,
    close,
    settle,
)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: SliceCall(0, 1, 0), "number is at least 1"),
        (lambda: SliceCall(1, 0, 0), "sequence is at least 1"),
        (lambda: SliceCall(1, 1, -1), "keep is at least 0"),
        (lambda: SliceCall(1, 1, 0, want=-1), "want is at least 0"),
        (lambda: SliceCall(1, 1, 0, need=-1), "need is at least 0"),
        (lambda: SliceClosing(0, 0), "number is at least 1"),
        (lambda: SliceClosing(1, -1), "keep is at least 0"),
        (lambda: Slice(0), "number is at least 1"),
        (lambda: Slice(1, -1), "amount is at least 0"),
        (lambda: Part(("s", 0), None, 1), "number is at least 1"),
        (lambda: Part(("s", 1), None, -1), "held is at least 0"),
        (lambda: Charge("r1", -1, {}), "cost is at least 0"),
        (lambda: charge(Account(1), -1, []), "cost is at least 0"),
        (lambda: settle(Account(1), None, SliceCall(1, 1, 0, want=1), 0), "sharers is at least 1"),
    ],
)
def test_what_no_verifier_can_mean_is_refused(make: Callable[[], object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make()


def test_a_slice_named_twice_lowers_once_more_what_the_first_left() -> None:
    """Both parts lower the same slice, and the account agrees with it."""
    key, slice_ = ("s", 1), Slice(1, 5)
    parts = [Part(key, slice_, 2), Part(("other", 1), Slice(1, 4), 1), Part(key, slice_, 2)]

    charged = charge(Account(9, escrowed=9), 5, parts)

    assert charged.slices == {key: Slice(1, 1), ("other", 1): Slice(1, 3)}
    assert charged.account == Account(4, escrowed=4)
    assert (charged.over, charged.late, charged.short) == (0, 0, 0)


def test_a_slice_that_lacks_what_was_held_is_counted_short() -> None:
    charged = charge(Account(9, escrowed=1), 3, [Part(("s", 1), Slice(1, 1), 2)])

    assert charged.account == Account(6)
    assert (charged.over, charged.short) == (1, 1)


def test_a_closing_never_grows_a_slice() -> None:
    assert close(Account(9, escrowed=2), Slice(1, 2), 5) == (
        Account(9, escrowed=2),
        Slice(1, 2, closed=True),
    )
