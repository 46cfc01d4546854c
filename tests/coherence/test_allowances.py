"""How long the leases of a session may last."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from keyauthority.coherence.allowances import (
    PROBATION,
    SHORTEST,
    Allowances,
    lengthened,
    shortened,
    withdrawn,
)
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.sessions import WHOLE, Allowance

LEASE = timedelta(seconds=3)
NONE = timedelta()
W = wait_out(LEASE)


def settled(allowance: Allowance) -> Allowance:
    return replace(allowance, in_force=allowance.lease)


def test_half_as_long_down_to_none() -> None:
    """What was granted before may be in force until it is settled."""
    seconds, has = [], WHOLE
    while has.lease != NONE:
        after = shortened(has, LEASE)
        assert after.in_force == has.in_force
        has = settled(after)
        seconds.append(has.granted(LEASE).total_seconds())
    assert seconds == [1.5, 0.75, 0.375, 0.0]
    assert shortened(has, LEASE) == has


def test_twice_as_long_up_to_the_whole() -> None:
    """What is granted and what may be in force rise together."""
    seconds, has = [], Allowance(NONE, NONE)
    while has != WHOLE:
        has = lengthened(has, LEASE)
        assert has.settled
        seconds.append(has.granted(LEASE).total_seconds())
    assert seconds == [0.375, 0.75, 1.5, 3.0]


@pytest.mark.parametrize("lease", [SHORTEST / 2, SHORTEST, 7 * SHORTEST, timedelta(minutes=1)])
def test_whatever_the_terms_say_it_comes_back(lease: timedelta) -> None:
    """From none to the whole, by steps that are no shorter than the shortest."""
    has = Allowance(NONE, NONE)
    for _ in range(20):
        has = lengthened(has, lease)
        assert has.granted(lease) >= min(lease, SHORTEST)
    assert has == WHOLE


def test_terms_that_grow_shorter_count_for_all() -> None:
    """An allowance is no right to more than the terms say."""
    has = settled(shortened(WHOLE, LEASE))
    assert has.granted(timedelta(seconds=1)) == timedelta(seconds=1)
    assert WHOLE.longest(LEASE) == LEASE
    assert has.longest(LEASE) == LEASE / 2


def test_a_shorter_lease_is_settled_after_w_of_the_longer() -> None:
    """Counted from when the shorter one was first seen in the books."""
    review, has = Allowances(), replace(shortened(WHOLE, LEASE), number=7)
    assert review.look([("a", has, True)], 100.0, LEASE, LEASE) == []
    assert review.look([("a", has, True)], 100.0 + W - 0.01, LEASE, LEASE) == []
    [due] = review.look([("a", has, True)], 100.0 + W, LEASE, LEASE)
    assert due == ("a", has, settled(has))


def test_another_allowance_begins_anew() -> None:
    """It is another number that stands."""
    review, has = Allowances(), replace(shortened(WHOLE, LEASE), number=7)
    review.look([("a", has, True)], 100.0, LEASE, LEASE)
    less = replace(withdrawn(has), number=8)
    assert review.look([("a", less, True)], 100.0 + W, LEASE, LEASE) == []
    assert review.look([], 101.0 + W, LEASE, LEASE) == []
    assert not review._since


def test_a_longer_one_is_due_after_a_while_without_lateness() -> None:
    """For a session that acknowledges; one that claims nonsense has acknowledged nothing."""
    review, has = Allowances(), Allowance(NONE, NONE, 9)
    told = [("a", has, True), ("b", has, False), ("c", WHOLE, True)]
    assert review.look(told, 100.0, LEASE, LEASE) == []
    assert review.look(told, 99.9 + PROBATION, LEASE, LEASE) == []
    assert review.look(told, 100.0 + PROBATION, LEASE, LEASE) == [
        ("a", has, lengthened(has, LEASE))
    ]
