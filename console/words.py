"""What people choose from, in the words they read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several: `value` in the form, `label` on the page, `text` that explains it."""

    value: str
    label: str
    text: str = ""


STATES: Final = (
    Choice("active", "Active"),
    Choice("paused", "Paused"),
    Choice("expired", "Expired"),
    Choice("revoked", "Revoked"),
)

EXPIRIES: Final = (
    Choice("30d", "30 days"),
    Choice("90d", "90 days"),
    Choice("1y", "1 year"),
    Choice("date", "On a date"),
    Choice("never", "Never"),
)

OVERLAPS: Final = (
    Choice(
        "0", "Stop it now", "The old secret is refused at once. For a secret that may have leaked."
    ),
    Choice("1h", "1 hour", "For one application that you restart yourself."),
    Choice("24h", "24 hours", "For most deployments."),
    Choice("7d", "7 days", "For several teams or slow roll-outs."),
    Choice("30d", "30 days", "For what only changes in a release."),
)

REASONS: Final = (
    Choice("compromised", "It leaked, or may have", "Somebody else has seen the secret."),
    Choice("superseded", "Another key replaces it", "Your programs use the new one already."),
    Choice("unused", "Nothing uses it any more", "The program or the project is gone."),
    Choice("owner_left", "Its owner left", "Whoever kept it no longer works here."),
    Choice("policy", "It broke a rule", "It was used against a rule of yours."),
)

ROLES: Final = (
    Choice("member", "Member", "Creates, edits, rotates and revokes keys."),
    Choice("viewer", "Viewer", "Sees keys, activity and members. Changes nothing."),
    Choice("owner", "Owner", "All of that, and invites, changes and removes members."),
)

CARDS: Final = {
    "old_secret": ("rotated, old secret in use", "Replace it where it still runs."),
    "expiring": ("expiring within 14 days", "Give them more time, or replace them."),
    "unused": ("unused for 90 days", "Revoke what nothing needs."),
    "never_expires": ("without an expiry", "Set one where you can."),
}
"""What deserves a look, said after how many keys it is true of, and what to do about it."""


def label(choices: Iterable[Choice], value: str) -> str:
    """Return the label of *value* among *choices*; *value* itself if it is none of them."""
    return next((choice.label for choice in choices if choice.value == value), value)
