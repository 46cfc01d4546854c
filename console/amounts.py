"""Amounts of credits as people read and type them. All are exact: no digit is rounded away."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from keyauthority.pricing import amounts

_DECIMALS: Final = 2
"""Decimals that every amount has; further ones are small, and pale unless they are all there is."""
_LONGEST: Final = 40
_AMOUNT: Final = Markup('<span class="amount">{}<span class="fine{}">{}</span></span>')
_CENT: Final = amounts.NANO // 100


def markup(nano_credits: int, *, signed: bool = False) -> Markup:
    """Returns an amount such as `1,234.5678`, with `+` before a positive one that is *signed*."""
    text, fine = _parts(nano_credits, signed=signed)
    return _AMOUNT.format(text, " all" if abs(nano_credits) < _CENT else "", fine)


def text(nano_credits: int, *, signed: bool = False) -> str:
    """Returns the same as plain text."""
    return "".join(_parts(nano_credits, signed=signed))


def parse(typed: str) -> int:
    """Returns the nano-credits that somebody typed. Raises `ValueError` with a sentence."""
    if len(typed) > _LONGEST:
        raise ValueError("This is too long for an amount.")
    if "," in typed:
        raise ValueError("Write a point before the decimals and no comma: 2.5, or 1250.")
    # The minus that pages show can be pasted.
    typed = typed.replace("\N{MINUS SIGN}", "-")
    try:
        return amounts.parse(typed)
    except ValueError as error:
        raise ValueError(f"{error}.") from None


def _parts(nano_credits: int, *, signed: bool) -> tuple[str, str]:
    whole, _, decimals = amounts.write(abs(nano_credits)).partition(".")
    decimals = decimals.ljust(_DECIMALS, "0")
    sign = "\N{MINUS SIGN}" if nano_credits < 0 else "+" if signed and nano_credits else ""
    return f"{sign}{int(whole):,}.{decimals[:_DECIMALS]}", decimals[_DECIMALS:]
