"""No call brings more than the contract lets it."""

from __future__ import annotations

from keyauthority.client.spending.room import MOST_HOLDS, MOST_SESSIONS, WHOLE
from keyauthority.escrow.purse import Charge
from keyauthority.escrow.slices import SliceKey


def charge(*parts: SliceKey) -> Charge:
    return Charge("r", 1, dict.fromkeys(parts, 1))


def test_a_call_has_room_for_so_many_charges() -> None:
    assert len(WHOLE.first([charge()] * 501)) == 500
    assert len(WHOLE.less([charge()] * 499).first([charge()] * 9)) == 1


def test_a_call_has_room_for_so_many_holds() -> None:
    """Of requests that ran long: each recall of credits adds a hold."""
    long = [charge(*(("s", number) for number in range(1, 101)))] * 60

    assert len(WHOLE.first(long)) == MOST_HOLDS // 100
    assert not WHOLE.less(long).is_enough
    assert WHOLE.less(long[:10]).first([*long[:41], charge()]) == long[:40]


def test_a_call_has_room_for_so_many_sessions() -> None:
    """Of charges that others left behind."""
    left = [charge((str(number), 1)) for number in range(450)]

    assert len(WHOLE.first(left)) == MOST_SESSIONS
    assert WHOLE.less(left[:400]).first([charge(("7", 2)), charge(("new", 1))]) == [
        charge(("7", 2))
    ]
