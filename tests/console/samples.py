"""Every page with made-up data: long names, markup, empty lists, errors beside fields."""

from __future__ import annotations

from tests.console.sample_data import NOW, Page
from tests.console.samples_account import ACCOUNT
from tests.console.samples_activity import ACTIVITY
from tests.console.samples_credits import CREDITS
from tests.console.samples_key import KEY_PAGES
from tests.console.samples_keys import KEYS
from tests.console.samples_links import LINKS
from tests.console.samples_members import MEMBER_PAGES

PAGES: list[Page] = [
    *KEYS,
    *LINKS,
    *KEY_PAGES,
    *CREDITS,
    *ACTIVITY,
    *MEMBER_PAGES,
    *ACCOUNT,
]

__all__ = ["NOW", "PAGES"]
