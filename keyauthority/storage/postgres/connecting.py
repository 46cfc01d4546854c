"""What is asked of each session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.primary import Primary

ISOLATION: Final = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
}
"""What lone statements run by, whatever the database, the user or a pooler would have."""

SETTINGS: Final = {
    **ISOLATION,
    # A statement ends by itself before the wait for it does, and so does a transaction that was
    # left behind: its locks would hold up everybody.
    "statement_timeout": "4500ms",
    "lock_timeout": "4s",
    "idle_in_transaction_session_timeout": "10s",
    # Each verdict would be compiled anew: see `Link.settle_plans`.
    "jit": "off",
}
"""What each session has. None of these timeouts touches a commit that waits."""


def primary_of(url: PostgresUrl, more: Mapping[str, str] = {}) -> Primary:  # read only
    """The primary that *url* leads to, for sessions that have `SETTINGS` and *more*."""
    return Primary(url, "keyauthority", {**SETTINGS, **more})
