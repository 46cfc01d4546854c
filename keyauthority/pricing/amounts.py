"""Amounts of credits: whole nano-credits (10⁻⁹), written as decimal numbers, never floats."""

from __future__ import annotations

import re
from typing import Final

NANO: Final = 10**9
"""Nano-credits in a credit."""

LARGEST_AMOUNT: Final = 10**17
"""The largest amount of one entry, either way, in nano-credits: 100 million credits."""

LARGEST_BALANCE: Final = 2**62
"""No balance goes beyond it, either way, in nano-credits."""

_DIGITS: Final = 9
_matches = re.compile(r"([+-]?)([0-9]{1,18})(?:\.([0-9]+))?", re.ASCII).fullmatch


def parse(text: str, most: int = LARGEST_AMOUNT) -> int:
    """Returns the nano-credits that a decimal number of credits is, such as `10` or `-2.5`.

    Raises `ValueError` with a sentence: no such number, finer than a nano-credit, or beyond *most*.
    """
    matched = _matches(text.strip())
    if matched is None:
        raise ValueError(f"{text!r} is no decimal number of credits, such as 10 or -2.5")
    sign, whole, fraction = matched.groups(default="")
    fraction = fraction.rstrip("0")
    if len(fraction) > _DIGITS:
        raise ValueError(f"{text!r} is finer than a nano-credit: nine decimals at most")
    amount = int(whole) * NANO + int(fraction.ljust(_DIGITS, "0"))
    if amount > most:
        raise ValueError(f"{text!r} is more than {write(most)} credits")
    return -amount if sign == "-" else amount


def write(nano_credits: int) -> str:
    """Returns *nano_credits* as a decimal number of credits that `parse` reads, such as `2.5`."""
    digits = str(abs(nano_credits)).rjust(_DIGITS + 1, "0")
    whole, decimals = digits[:-_DIGITS], digits[-_DIGITS:].rstrip("0")
    text = f"{whole}.{decimals}" if decimals else whole
    return f"-{text}" if nano_credits < 0 else text
