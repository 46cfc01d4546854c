"""Amounts of credits are exact, for readers and from typists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import amounts
from keyauthority.pricing.amounts import LARGEST_AMOUNT

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("nano_credits", "text", "signed"),
    [
        (0, "0.00", "0.00"),
        (10 * 10**9, "10.00", "+10.00"),
        (1_234_500_000_000, "1,234.50", "+1,234.50"),
        (-1_204_500, f"{MINUS}0.0012045", f"{MINUS}0.0012045"),
        (-1, f"{MINUS}0.000000001", f"{MINUS}0.000000001"),
        (2**62, "4,611,686,018.427387904", "+4,611,686,018.427387904"),
    ],
)
def test_an_amount_is_written_whole(nano_credits: int, text: str, signed: str) -> None:
    """With thousands apart, two decimals at least, and a sign that is read out."""
    assert amounts.text(nano_credits) == text
    assert amounts.text(nano_credits, signed=True) == signed
    assert amounts.markup(nano_credits).striptags() == text


@given(st.integers(-LARGEST_AMOUNT, LARGEST_AMOUNT))
def test_what_is_written_can_be_typed_again(nano_credits: int) -> None:
    """Without the commas, it is the same amount."""
    assert amounts.parse(amounts.text(nano_credits).replace(",", "")) == nano_credits


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("1,5", "no comma"),
        ("1,000", "no comma"),
        ("ten", "no decimal number"),
        ("1e3", "no decimal number"),
        ("1 000", "no decimal number"),
        ("0.0000000001", "finer than a nano-credit"),
        ("100000001", "more than 100000000 credits"),
        ("9" * 41, "too long"),
    ],
)
def test_what_is_no_amount_is_refused_with_a_sentence(typed: str, sentence: str) -> None:
    """It says what is wrong with it."""
    with pytest.raises(ValueError, match=sentence) as refused:
        amounts.parse(typed)
    assert str(refused.value).endswith((".", "1250."))
