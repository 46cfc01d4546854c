"""What was done as its page shows it: rows of the authority's audit and of the console's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from console import activity_words, words
from console.paths import url
from console.people import Event, Role
from console.views import EntryRow
from console.visit import Visit
from keyauthority.client.admin import AuditEntry


async def of_keys(visit: Visit, entries: Sequence[AuditEntry]) -> list[EntryRow]:
    """Rows of the audit. Raises `AuthorityError`."""
    unnamed = {one.subject for one in entries if _is_key(one) and "name" not in one.details}
    keys = await visit.authority.some_keys(visit.workspace_id, sorted(unnamed))
    names = {key.id: key.name for key in keys}
    return [_entry(visit, one, names) for one in entries]


async def of_people(visit: Visit, events: Sequence[Event]) -> list[EntryRow]:
    """Rows of the history. From where people come is for owners to know."""
    emails = await _emails(visit, {one.subject for one in events if _is_person(one.subject)})
    return [_event(visit, one, emails) for one in events]


def _entry(visit: Visit, one: AuditEntry, names: Mapping[str, str]) -> EntryRow:
    href = url("key", workspace=visit.workspace_id, key=one.subject) if _is_key(one) else None
    details = {**one.details}
    subject = details.pop("name", "") or names.get(one.subject) or one.subject
    return EntryRow(
        time=one.time,
        who=one.person_name or one.caller_name,
        via=one.caller_name if one.person_name else "",
        sentence=activity_words.sentence(one.action, details),
        subject=subject,
        subject_href=href,
        # With a person there it is where the console stands, not the person.
        source="" if one.person_name else one.source,
        request_id=one.request_id,
        details=_details(details),
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
        sentence=itself or activity_words.sentence(one.action),
        subject="" if itself else subject,
        subject_href=None,
        source=one.source if visit.role is Role.OWNER else "",
        request_id="",
        details=_details(details),
        refused=False,
        revision=0,
    )


def _details(details: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(_NAMES.get(name, name), _said(name, details[name])) for name in sorted(details)]


def _said(name: str, value: str) -> str:
    if name == "reason":
        return words.label(words.REASONS, value.lower())
    if name in ("role", "before"):
        return words.label(words.ROLES, value)
    if name == "fields":
        return ", ".join(_FIELDS.get(one, one) for one in value.split(","))
    return value


_FIELDS: Final = {"disabled": "paused or not", "expire_time": "expiry"}
"""What is called otherwise in the pages than by the authority."""

_NAMES: Final = {
    "before": "Role before",
    "fields": "Changed",
    "note": "Note",
    "reason": "Reason",
    "role": "Role",
    "suspended": "Suspended",
}


async def _emails(visit: Visit, person_ids: set[str]) -> dict[str, str]:
    # They are of this workspace's own history, so its members may know them.
    people = await visit.parts.books.accounts.get_all(person_ids)
    return {person.id: person.email for person in people}


def _is_key(one: AuditEntry) -> bool:
    return one.subject.startswith("key_")


def _is_person(subject: str) -> bool:
    return subject.startswith("person_")
