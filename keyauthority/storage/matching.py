"""Comparing names as databases do."""

from __future__ import annotations

import string
from typing import Final

_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def ascii_lower(text: str) -> str:
    """*text* with A-Z in lower case and all other letters as they are."""
    return text.translate(_LOWER)
