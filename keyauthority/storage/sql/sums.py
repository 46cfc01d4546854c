"""Sums of 64-bit numbers, which 64 bits may not hold."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, func

_HALF: Final = 2**32


def halves(column: ColumnElement[int]) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """Returns the sums of the upper and the lower halves of a column's numbers."""
    # SQLite sums in 64 bits, in whatever order, and fails where a sum goes beyond them.
    return (
        func.coalesce(func.sum(column // _HALF), 0),
        func.coalesce(func.sum(column % _HALF), 0),
    )


def whole(high: int, low: int) -> int:
    """Returns the sum of which *high* and *low* are the halves."""
    return int(high) * _HALF + int(low)
