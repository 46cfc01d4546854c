"""What one caller may bring in a second; the others bring theirs all the same."""

from __future__ import annotations

import pytest

from keyauthority.domain.credits import charge_rates
from keyauthority.domain.credits.charge_rates import ChargeRates
from keyauthority.domain.errors import KeyAuthorityError, Reason


class Clock:
    """Stands until it is put forward."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refusal(rates: ChargeRates, caller_id: str = "caller_1", charges: int = 1) -> KeyAuthorityError:
    with pytest.raises(KeyAuthorityError) as caught:
        rates.take(caller_id, charges)
    return caught.value


def brought(rates: ChargeRates, clock: Clock, seconds: float, at_once: int) -> int:
    """What comes through of a caller that sends calls of *at_once* charges all the time."""
    charges, end = 0, clock.time + seconds
    while clock.time < end:
        try:
            rates.take("caller_1", at_once)
            charges += at_once
        except KeyAuthorityError:
            clock.time += 0.001
    return charges


@pytest.mark.parametrize("at_once", [1, 7, 500])
def test_no_more_comes_through_than_stated(clock: Clock, at_once: int) -> None:
    """A second's worth at once, then the rate, and at most one call beyond it."""
    charges = brought(ChargeRates(1_000, clock), clock, 10, at_once)
    assert 10 * 1_000 <= charges <= 11 * 1_000 + at_once


def test_a_call_may_be_larger_than_what_a_second_brings(clock: Clock) -> None:
    """It is taken whole; the next waits until it is made up for."""
    rates = ChargeRates(10, clock)
    rates.take("caller_1", 500)
    error = refusal(rates)
    assert error.reason is Reason.TOO_MANY_CHARGES
    assert error.metadata == {"charges_per_second": "10", "retry_after": "49.000"}
    clock.time += 48.9
    assert refusal(rates).metadata["retry_after"] == "0.100"
    clock.time += 0.101
    rates.take("caller_1", 1)


def test_what_was_refused_counts_for_nothing(clock: Clock) -> None:
    rates = ChargeRates(100, clock)
    rates.take("caller_1", 100)
    for _ in range(1_000):
        refusal(rates, charges=500)
    clock.time += 0.011
    rates.take("caller_1", 1)


def test_a_call_without_charges_is_never_refused(clock: Clock) -> None:
    """It gives credits back, or asks for some."""
    rates = ChargeRates(1, clock)
    rates.take("caller_1", 500)
    rates.take("caller_1", 0)
    refusal(rates)


def test_a_caller_takes_nothing_of_the_others(clock: Clock) -> None:
    rates = ChargeRates(100, clock)
    rates.take("caller_1", 500)
    refusal(rates)
    rates.take("caller_2", 100)
    refusal(rates, "caller_2")


def test_who_has_been_silent_is_forgotten_and_nobody_else(clock: Clock) -> None:
    """However many callers there have been."""
    rates = ChargeRates(100, clock)
    for number in range(5 * charge_rates._CALLERS):
        rates.take(f"caller {number}", 100)
        rates.take("caller_1", number % 2)
        clock.time += 0.02
    assert len(rates._full) <= charge_rates._CALLERS
    rates.take("caller_1", 500)
    for number in range(2 * charge_rates._CALLERS):
        rates.take(f"another {number}", 1)
    refusal(rates)
