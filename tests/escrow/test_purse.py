"""A verifier's purse: what it says it keeps, and which charges it may send with that."""

from __future__ import annotations

from keyauthority.escrow.purse import Hold, Purse
from keyauthority.escrow.slices import SliceClosing, Word


def opened(amount: int, session: str = "session") -> Purse:
    """Returns a purse with *amount* free on its first slice."""
    purse = Purse(session)
    assert purse.answered(purse.call(amount, amount), Word.GRANTED, amount)
    return purse


def take(purse: Purse, amount: int) -> Hold:
    hold = purse.take(amount)
    assert hold is not None
    return hold


def test_a_charge_that_is_confirmed_is_not_taken_off_again() -> None:
    """A repeated call names it, but what it took is no longer held."""
    purse = opened(4)
    ended, running = take(purse, 1), take(purse, 3)
    purse.charge(ended, "r1", 1)
    purse.close()
    call = purse.call(2, 1)
    purse.confirmed("r1")

    assert purse.closings(call.charges) == [SliceClosing(1, running.amount)]


def test_while_a_call_is_under_way_only_what_it_counts_in_is_sent() -> None:
    """A charge that overtook it would leave the slice no larger than it keeps: it gave nothing back."""
    purse = opened(3)
    first, second = take(purse, 1), take(purse, 1)
    counted = purse.charge(first, "r1", 1)
    call = purse.call(2, 1, release=1)
    later = purse.charge(second, "r2", 1)

    assert call.request.keep == 1
    assert purse.charges == [counted]
    assert purse.call(2, 1) is call
    purse.answered(call, Word.GRANTED, 0)
    assert purse.charges == [counted, later]


def test_a_closing_ends_the_wait() -> None:
    purse = opened(2)
    hold = take(purse, 1)
    purse.call(2, 1)
    charge = purse.charge(hold, "r1", 1)
    assert purse.charges == []

    purse.close()

    assert purse.charges == [charge]


def test_a_hold_may_span_two_sessions() -> None:
    """Whose slices have the same numbers: each purse takes its own part of the end."""
    first, second = opened(2, "first"), opened(2, "second")
    hold = take(first, 2)
    first.close()
    hold.parts = hold.extended(take(second, 2))
    assert hold.parts == {("first", 1): 2, ("second", 1): 2}

    charges = [purse.charge(hold, "r1", 3) for purse in (first, second)]

    assert charges[0] == charges[1]
    assert second.free == 1
    assert first.closings() == [SliceClosing(1, 2)]
    for purse in (first, second):
        purse.confirmed("r1")
    assert first.closings() == [SliceClosing(1, 0)]
    assert second.call(1, 1).request.keep == 1


def test_numbers_go_on_from_those_of_a_purse_that_was_forgotten() -> None:
    """The authority remembers the highest: a lower one is passed, and the same one a repeated call."""
    first = opened(2)
    hold = take(first, 2)
    first.close()
    assert not first.is_empty
    first.void(hold)
    [closing] = first.closings()
    first.closed(closing)
    assert first.is_empty
    assert first.number == 1

    second = Purse("session", first.number)

    assert second.is_empty
    assert second.call(1, 1).request.number == 2
    assert not second.is_empty
