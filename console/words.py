"""The words that people read: choices, notices and receipts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from keyauthority.client.admin import Receipt

_SECOND: Final = 1_000


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice: its `value` in the form, its `label` on the page, and a `text` that explains it."""

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
    Choice("30d", "30 days", "For programs that change only with a release."),
)

REASONS: Final = (
    Choice("compromised", "It leaked, or may have", "Somebody else has seen the secret."),
    Choice("superseded", "Another key replaces it", "Your programs use the new one already."),
    Choice("unused", "Nothing uses it any more", "The program or the project is gone."),
    Choice("owner_left", "Its owner left", "The person who looked after it no longer works here."),
    Choice("policy", "It broke a rule", "It was used against one of your rules."),
)

ROLES: Final = (
    Choice("member", "Member", "Creates, edits, rotates and revokes keys."),
    Choice("viewer", "Viewer", "Sees keys, credits, activity and members. Changes nothing."),
    Choice("owner", "Owner", "All of that, and invites, changes and removes members."),
)

ENTRIES: Final = (
    Choice("grant", "Top-up"),
    Choice("charge", "Request"),
    Choice("refund", "Refund"),
    Choice("adjustment", "Adjustment"),
    Choice("expiry", "Expired"),
)
"""What an entry of a ledger is."""

CARDS: Final = {
    "old_secret": ("rotated, old secret in use", "Replace the old secret where it is still used."),
    "expiring": ("expiring within 14 days", "Extend or replace them."),
    "unused": ("unused for 90 days", "Revoke those that nothing needs."),
    "never_expires": ("without an expiry", "Set one where you can."),
}
"""What each warning says after the number of its keys, and what to do about it."""


def label(choices: Iterable[Choice], value: str) -> str:
    """Returns the label of *value* among *choices*; *value* itself if it is none of them."""
    return next((choice.label for choice in choices if choice.value == value), value)


NOTICES: Final = {
    "signed-out": "You are signed out.",
    "signed-out-meanwhile": "Your sign-in had ended, so nothing was done. Sign in, and do it again.",
    "password-set": "Your password is set. Sign in with it.",
    "stored": "Good. The key works. Its secret won’t be shown again.",
    "saved": "Saved.",
    "paused": "The key is paused: requests with it are refused from now on, everywhere.",
    "resumed": "The key works again.",
    "spreading": "The change is made. The last verifier applies it within seconds.",
    "role-changed": "The role is changed.",
    "withdrawn": "The invitation is withdrawn: its link no longer works.",
    "joined": "You have joined the workspace.",
    "left": "You have left the workspace.",
    "session-ended": "That sign-in is ended.",
    "sessions-ended": "All other sign-ins are ended.",
    "password-changed": "Your password is changed, and all other sign-ins are ended.",
    "workspace-created": "The workspace is created, and you are its owner.",
    "administrator-added": "They are an administrator now.",
    "administrator-no-more": "You are no longer an administrator.",
    "signed-out-everywhere": "They are signed out everywhere.",
    "disabled": "They are signed out everywhere and can no longer sign in. Their keys still work.",
    "enabled": "They can sign in again.",
    "administrator-removed": "They are no longer an administrator.",
}
"""What the next page says was done. Its address names the sentence and never contains it."""


def receipt(record: Receipt, done: str = "Stopped") -> str:
    """Returns a receipt as a sentence: "Stopped everywhere in 12 ms. 3 verifiers confirmed."."""
    milliseconds = round(record.waited.total_seconds() * _SECOND)
    time = f"{milliseconds} ms" if milliseconds < _SECOND else f"{milliseconds / _SECOND:.1f} s"
    sentences = [f"{done} everywhere in {time}."]
    if record.sessions_acknowledged:
        sentences.append(f"{_verifiers(record.sessions_acknowledged)} confirmed.")
    if record.leases_waited_out:
        them = "it has" if record.leases_waited_out == 1 else "they have"
        sentences.append(
            f"{_verifiers(record.leases_waited_out)} could not be reached, so we waited until "
            f"{them} to ask again before accepting anything."
        )
    return " ".join(sentences)


def _verifiers(number: int) -> str:
    return f"{number} verifier{'' if number == 1 else 's'}"
