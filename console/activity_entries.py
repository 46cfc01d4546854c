"""What was done, as people read it: rows of the authority's audit and of the console's history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from console import words
from console.moments import to_the_minute, zone_of
from console.paths import url
from console.people import Event, Role
from console.visit import Visit
from keyauthority.client.admin import Action, AuditEntry

ACTIONS: Final = {
    Action.KEY_ISSUED: "created the key",
    Action.KEY_IMPORTED: "imported the key",
    Action.KEY_PAUSED: "paused the key",
    Action.KEY_RESUMED: "resumed the key",
    Action.KEY_RENAMED: "renamed the key",
    Action.KEY_EXPIRY_CHANGED: "changed the expiry of the key",
    Action.KEY_SCOPES_CHANGED: "changed the scopes of the key",
    Action.KEY_LABELS_CHANGED: "changed the labels of the key",
    Action.KEY_CHANGED: "changed the key",
    Action.KEY_ROTATED: "rotated the key",
    Action.KEY_REVOKED: "revoked the key",
    Action.WORKSPACE_CREATED: "created the workspace",
    Action.WORKSPACE_RENAMED: "renamed the workspace",
    Action.WORKSPACE_SUSPENDED: "suspended the workspace",
    Action.WORKSPACE_RESUMED: "resumed the workspace",
    Action.WORKSPACE_CHANGED: "renamed or resumed the workspace",
    Action.CREDITS_ADDED: "topped up credits",
    Action.CREDITS_ADJUSTED: "adjusted credits",
    Action.CREDITS_REFUNDED: "refunded credits",
    Action.CREDITS_EXPIRED: "took back credits whose time was over",
}
"""The words for an action of the audit, after who did it and before what it was done to."""

KEYS: Final = {action.name.lower(): text for action, text in ACTIONS.items()}
"""The same words by the action's value in an address, such as `key_revoked`."""

PEOPLE: Final = {
    "invitation.create": "invited",
    "invitation.withdraw": "withdrew the invitation of",
    "member.add": "added",
    "member.role": "changed the role of",
    "member.remove": "removed",
}
"""The words for an event of the console's history."""

OWNERS_ONLY: Final = frozenset({"invitation.create", "invitation.withdraw"})
"""Events that only owners see."""

_TO_ONESELF: Final = {"member.add": "joined", "member.remove": "left"}
_RENAMED: Final = (Action.KEY_RENAMED, Action.WORKSPACE_RENAMED)
_OLD_AND_NEW: Final = (
    Action.KEY_EXPIRY_CHANGED,
    Action.KEY_SCOPES_CHANGED,
    Action.KEY_LABELS_CHANGED,
)
"""Actions whose old and new value stand in the details."""
_SETTINGS: Final = {"disabled": "paused or not", "expire_time": "expiry"}
"""Settings that the pages call otherwise than the authority."""
_DETAILS: Final = {
    "before": "Role before",
    "expires": "Expire",
    "fields": "Changed",
    "from": "Before",
    "note": "Note",
    "overlap": "The old secret ends",
    "priority": "Priority",
    "promotional": "Given away",
    "purchase": "Purchase",
    "reason": "Reason",
    "reference": "Reference",
    "role": "Role",
    "subject": "Refund of",
    "suspended": "Suspended",
    "to": "After",
}


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An action of a person or a service; `sentence` has the verb: "revoked the key"."""

    time: datetime
    who: str
    via: str
    sentence: str
    subject: str
    subject_href: str | None
    source: str
    request_id: str
    details: Sequence[tuple[str, str]]
    refused: bool
    revision: int


def action_of(value: str) -> Action | None:
    """Returns the action with that value in an address; None if there is none to choose."""
    return Action[value.upper()] if value in KEYS else None


async def of_keys(visit: Visit, entries: Sequence[AuditEntry]) -> list[EntryRow]:
    """Rows of the audit. Raises `AuthorityError`."""
    unnamed = {entry.subject for entry in entries if _is_key(entry) and not _name(entry)}
    keys = await visit.authority.some_keys(visit.workspace_id, sorted(unnamed))
    names = {key.id: key.settings.name for key in keys}
    return [_audit_row(visit, entry, names) for entry in entries]


async def of_people(visit: Visit, events: Sequence[Event]) -> list[EntryRow]:
    """Rows of the history, with addresses for owners only."""
    # The subjects belong to the history of this workspace, so its members may see their addresses.
    ids = {event.subject for event in events if event.subject.startswith("person_")}
    people = await visit.parts.books.accounts.get_all(ids)
    emails = {person.id: person.email for person in people}
    return [_event_row(visit, event, emails) for event in events]


def _audit_row(visit: Visit, entry: AuditEntry, names: Mapping[str, str]) -> EntryRow:
    href = None
    if _is_key(entry):
        href = url("key", workspace=visit.workspace_id, key=entry.subject)
    return EntryRow(
        time=entry.time,
        who=entry.person_name or entry.caller_name,
        via=entry.caller_name if entry.person_name else "",
        sentence=sentence(entry),
        subject="" if _is_of_credits(entry) else _subject(entry, names),
        subject_href=href,
        # Beside a person the address is the console's, not theirs.
        source="" if entry.person_name else entry.source,
        request_id=entry.request_id,
        details=_details(_audit_details(visit, entry)),
        refused=entry.refused,
        revision=entry.revision,
    )


def _event_row(visit: Visit, event: Event, emails: Mapping[str, str]) -> EntryRow:
    details = {**event.details}
    subject = details.pop("email", "") or emails.get(event.subject, event.subject)
    to_oneself = _TO_ONESELF.get(event.action) if event.subject == event.person_id else None
    return EntryRow(
        time=event.time,
        who=event.person_email or "the console",
        via="",
        sentence=to_oneself or PEOPLE.get(event.action, event.action),
        subject="" if to_oneself else subject,
        subject_href=None,
        source=event.source if visit.role is Role.OWNER else "",
        request_id="",
        details=_details(details),
        refused=False,
        revision=0,
    )


def sentence(entry: AuditEntry) -> str:
    """Returns the words for an entry of the audit; its method's name where there are none."""
    text = ACTIONS.get(entry.action, entry.method)
    if entry.action in _RENAMED and "from" in entry.details:
        return f"{text} from {entry.details['from']} to"
    if _is_of_credits(entry) and "credits" in entry.details:
        return f"{text}: {entry.details['credits']}"
    return f"{text} by its secret" if "by_secret" in entry.details else text


def _subject(entry: AuditEntry, names: Mapping[str, str]) -> str:
    return _name(entry) or names.get(entry.subject) or entry.subject


def _name(entry: AuditEntry) -> str:
    # The subject's name after the change.
    return entry.details.get("to" if entry.action in _RENAMED else "name", "")


def _audit_details(visit: Visit, entry: AuditEntry) -> dict[str, str]:
    # The details that the sentence doesn't contain.
    details = {**entry.details}
    for name in ("name", "by_secret"):
        details.pop(name, None)
    if _is_of_credits(entry):
        return _credits_details(visit, details)
    for name in ("from", "to"):
        if name in details and entry.action in _OLD_AND_NEW:
            details[name] = _setting(visit, entry.action, details[name])
        else:
            details.pop(name, None)
    return details


def _credits_details(visit: Visit, details: dict[str, str]) -> dict[str, str]:
    details.pop("credits", None)
    if "reason" in details:
        # In words, unlike that of a revocation.
        details["note"] = details.pop("reason")
    if "expires" in details:
        end = datetime.fromisoformat(details["expires"])
        details["expires"] = to_the_minute(end, zone_of(visit.me.time_zone))
    if "promotional" in details:
        details["promotional"] = "yes"
    return details


def _setting(visit: Visit, action: Action, value: str) -> str:
    if action is Action.KEY_EXPIRY_CHANGED and value != "never":
        return to_the_minute(datetime.fromisoformat(value), zone_of(visit.me.time_zone))
    if action is Action.KEY_LABELS_CHANGED:
        labels: dict[str, str] = json.loads(value)
        return ", ".join(f"{label}={text}" for label, text in labels.items()) or "none"
    return value


def _details(details: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(_DETAILS.get(name, name), _detail(name, details[name])) for name in sorted(details)]


def _detail(name: str, value: str) -> str:
    if name == "reason":
        return words.label(words.REASONS, value.lower())
    if name in ("role", "before"):
        return words.label(words.ROLES, value)
    if name == "fields":
        return ", ".join(_SETTINGS.get(field, field) for field in value.split(","))
    if name == "overlap":
        return "at once" if value == "none" else f"after {value}"
    return value


def _is_of_credits(entry: AuditEntry) -> bool:
    return entry.subject.endswith("/credits")


def _is_key(entry: AuditEntry) -> bool:
    return entry.subject.startswith("key_")
