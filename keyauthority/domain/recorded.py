"""What becomes of a charge that whoever bills brings."""

from __future__ import annotations

import enum


class RecordedState(enum.Enum):
    """What became of a recorded charge. The contract has the same numbers and explains them."""

    ENTERED = 1
    KNOWN = 2
    REFERENCE_REUSED = 3
    UNKNOWN_KEY = 4
    UNPRICED = 5
    OUT_OF_RANGE = 6
    TIME_OUT_OF_RANGE = 7
