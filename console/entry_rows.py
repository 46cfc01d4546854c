"""What was done as its page shows it: rows of the authority's audit and of the console's history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from console import activity_words, words
from console.moments import to_the_minute, zone_of
from console.paths import url
from console.people import Event, Role
from console.views import EntryRow
from console.visit import Visit
from keyauthority.client.admin import Action, AuditEntry


async def of_keys(visit: Visit, entries: Sequence[AuditEntry]) -> list[EntryRow]:
    """Rows of the audit. Raises `AuthorityError`."""
    unnamed = {one.subject for one in entries if _is_key(one) and not _name(one)}
    keys = await visit.authority.some_keys(visit.workspace_id, sorted(unnamed))
    names = {key.id: key.name for key in keys}
    return [_entry(visit, one, names) for one in entries]


async def of_people(visit: Visit, events: Sequence[Event]) -> list[EntryRow]:
    """Rows of the history. From where people come is for owners to know."""
    emails = await _emails(visit, {one.subject for one in events if _is_person(one.subject)})
    return [_event(visit, one, emails) for one in events]


def _entry(visit: Visit, one: AuditEntry, names: Mapping[str, str]) -> EntryRow:
    href = url("key", workspace=visit.workspace_id, key=one.subject) if _is_key(one) else None
    return EntryRow(
        time=one.time,
        who=one.person_name or one.caller_name,
        via=one.caller_name if one.person_name else "",
        sentence=activity_words.of_entry(one),
        subject=_name(one) or names.get(one.subject) or one.subject,
        subject_href=href,
        # With a person there it is where the console stands, not the person.
        source="" if one.person_name else one.source,
        request_id=one.request_id,
        details=_details(_beside_the_sentence(visit, one)),
        refused=one.refused,
        revision=one.revision,
    )


def _event(visit: Visit, one: Event, emails: Mapping[str, str]) -> EntryRow:
    details = {**one.details}
    subject = details.pop("email", "") or emails.get(one.subject, one.subject)
    itself = activity_words.ITSELF.get(one.action) if one.subject == one.person_id else None
    return EntryRow(
        time=one.time,
        who=one.person_email or "the console",
        via="",
        sentence=itself or activity_words.of_event(one.action),
        subject="" if itself else subject,
        subject_href=None,
        source=one.source if visit.role is Role.OWNER else "",
        request_id="",
        details=_details(details),
        refused=False,
        revision=0,
    )


def _name(one: AuditEntry) -> str:
    # What it is called since.
    renamed = one.action in activity_words.RENAMED
    return one.details.get("to" if renamed else "name", "")


def _beside_the_sentence(visit: Visit, one: AuditEntry) -> dict[str, str]:
    # What the sentence doesn't say.
    details = {name: one.details[name] for name in one.details if name not in ("name", "by_secret")}
    for name in ("from", "to"):
        if name in details and one.action not in _OLD_AND_NEW:
            del details[name]
        elif name in details:
            details[name] = _value(visit, one.action, details[name])
    return details


_OLD_AND_NEW: Final = (
    Action.KEY_EXPIRY_CHANGED,
    Action.KEY_SCOPES_CHANGED,
    Action.KEY_LABELS_CHANGED,
)
"""Of what the old and the new value stand in the details."""


def _value(visit: Visit, action: Action, value: str) -> str:
    if action is Action.KEY_EXPIRY_CHANGED and value != "never":
        return to_the_minute(datetime.fromisoformat(value), zone_of(visit.me.time_zone))
    if action is Action.KEY_LABELS_CHANGED:
        labels: dict[str, str] = json.loads(value)
        return ", ".join(f"{label}={text}" for label, text in labels.items()) or "none"
    return value


def _details(details: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(_NAMES.get(name, name), _said(name, details[name])) for name in sorted(details)]


def _said(name: str, value: str) -> str:
    if name == "reason":
        return words.label(words.REASONS, value.lower())
    if name in ("role", "before"):
        return words.label(words.ROLES, value)
    if name == "fields":
        return ", ".join(_FIELDS.get(one, one) for one in value.split(","))
    if name == "overlap":
        return "at once" if value == "none" else f"after {value}"
    return value


_FIELDS: Final = {"disabled": "paused or not", "expire_time": "expiry"}
"""What is called otherwise in the pages than by the authority."""

_NAMES: Final = {
    "before": "Role before",
    "fields": "Changed",
    "from": "Before",
    "note": "Note",
    "overlap": "The old secret ends",
    "reason": "Reason",
    "role": "Role",
    "suspended": "Suspended",
    "to": "After",
}


async def _emails(visit: Visit, person_ids: set[str]) -> dict[str, str]:
    # They are of this workspace's own history, so its members may know them.
    people = await visit.parts.books.accounts.get_all(person_ids)
    return {person.id: person.email for person in people}


def _is_key(one: AuditEntry) -> bool:
    return one.subject.startswith("key_")


def _is_person(subject: str) -> bool:
    return subject.startswith("person_")
