"""Every page with made-up data: long names, markup, empty lists, errors beside fields."""

from __future__ import annotations

from tests.console.sample_data import NOW, Page
from tests.console.samples_keys import FIRST
from tests.console.samples_more import MORE

PAGES: list[Page] = [*FIRST, *MORE]

__all__ = ["NOW", "PAGES"]
