"""Amounts of credits: decimal text and whole nano-credits are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyauthority.pricing import amounts


@given(st.integers(-amounts.LARGEST_AMOUNT, amounts.LARGEST_AMOUNT))
def test_what_is_written_is_read_as_the_same_amount(amount: int) -> None:
    assert amounts.parse(amounts.write(amount)) == amount


@pytest.mark.parametrize(
    ("text", "nano_credits"),
    [
        ("10", 10_000_000_000),
        ("-2.5", -2_500_000_000),
        ("+0.000000001", 1),
        ("0.0000000010", 1),
        (" 007.50 ", 7_500_000_000),
        ("-0", 0),
    ],
)
def test_decimal_numbers_are_exact(text: str, nano_credits: int) -> None:
    assert amounts.parse(text) == nano_credits


@pytest.mark.parametrize(
    "text", ["", "ten", "1e3", "1,5", "0x10", ".5", "5.", "1_000", "--1", "\u0661", "nan", "1 2"]
)
def test_what_is_no_decimal_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no decimal number"):
        amounts.parse(text)


@pytest.mark.parametrize(
    ("text", "why"), [("0.0000000001", "finer"), ("100000000.1", "more than 100000000 credits")]
)
def test_what_no_entry_can_hold_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        amounts.parse(text)
