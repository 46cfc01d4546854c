"""A verifier's purse: what it says it keeps, and which charges it may send with that."""

from __future__ import annotations

from keyauthority.escrow.purse import Charge, Purse, SliceNumbers, joined
from keyauthority.escrow.slices import SliceClosing, SliceKey, Word


def opened(amount: int, session: str = "session", numbers: SliceNumbers | None = None) -> Purse:
    """Returns a purse with *amount* free on its first slice."""
    purse = Purse(session, numbers or SliceNumbers())
    assert purse.answered(purse.call(amount, amount), Word.GRANTED, amount)
    return purse


def take(purse: Purse, amount: int) -> dict[SliceKey, int]:
    parts = purse.take(amount)
    assert parts is not None
    return parts


def charge(purse: Purse, parts: dict[SliceKey, int], reference: str, cost: int) -> Charge:
    one = Charge(reference, cost, parts)
    purse.charge([one])
    return one


def test_a_charge_that_is_confirmed_is_not_taken_off_again() -> None:
    """A repeated call names it, but what it took is no longer held."""
    purse = opened(4)
    ended, running = take(purse, 1), take(purse, 3)
    charge(purse, ended, "r1", 1)
    purse.close()
    call = purse.call(2, 1)
    purse.confirmed(["r1"])

    assert purse.closings(call.charges) == [SliceClosing(1, sum(running.values()))]


def test_while_a_call_is_under_way_only_what_it_counts_in_is_sent() -> None:
    """A charge that overtook it would leave the slice no larger than it keeps: it gave nothing back."""
    purse = opened(3)
    first, second = take(purse, 1), take(purse, 1)
    counted = charge(purse, first, "r1", 1)
    call = purse.call(2, 1, release=1)
    later = charge(purse, second, "r2", 1)

    assert call.request.keep == 1
    assert purse.charges == [counted]
    assert purse.call(2, 1) is call
    purse.answered(call, Word.GRANTED, 0)
    assert purse.charges == [counted, later]


def test_a_closing_ends_the_wait() -> None:
    purse = opened(2)
    hold = take(purse, 1)
    purse.call(2, 1)
    ended = charge(purse, hold, "r1", 1)
    assert purse.charges == []

    purse.close()

    assert purse.charges == [ended]


def test_a_hold_may_span_two_sessions() -> None:
    """Whose slices have the same numbers: each purse takes its own part of the end."""
    first, second = opened(2, "first"), opened(2, "second")
    hold = take(first, 2)
    first.close()
    hold = joined(hold, take(second, 2))
    assert hold == {("first", 1): 2, ("second", 1): 2}

    ended = Charge("r1", 3, hold)
    for purse in (first, second):
        purse.charge([ended])

    assert first.charges == second.charges == [ended]
    assert second.free == 1
    assert first.closings() == [SliceClosing(1, 2)]
    for purse in (first, second):
        purse.confirmed(["r1"])
    assert first.closings() == [SliceClosing(1, 0)]
    assert second.call(1, 1).request.keep == 1


def test_numbers_go_on_from_those_of_a_purse_that_was_forgotten() -> None:
    """The authority remembers the highest: a lower one is passed, and the same one a repeated call."""
    numbers = SliceNumbers()
    first = opened(2, numbers=numbers)
    hold = take(first, 2)
    first.close()
    assert not first.is_empty
    first.void(hold)
    [closing] = first.closings()
    first.closed(closing)
    assert first.is_empty
    assert first.number == 1

    second = Purse("session", numbers)

    assert second.is_empty
    assert second.call(1, 1).request.number == 2
    assert not second.is_empty
