"""Who did what: to keys, from the authority's audit; to people, from the console's history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from gateway.answer import Answer
from gateway.console import activity_words
from gateway.console.authority.client import timestamp
from gateway.console.dates import begin_of_day
from gateway.console.forms import Form
from gateway.console.moments import zone_of
from gateway.console.paths import url
from gateway.console.people import Event
from gateway.console.views import EntryRow
from gateway.console.visit import Visit
from keyauthority.v1 import audit_service_pb2 as audit_v1

PAGE: Final = 50
_FILTERS: Final = ("tab", "person", "action", "subject", "from", "to", "before")
_LONGEST: Final = 128


async def show(visit: Visit) -> Answer:
    """The newest first, as filtered."""
    asked = visit.request.rel_url.query
    form = Form({name: asked.get(name, "").strip()[:_LONGEST] for name in _FILTERS})
    form.values["tab"] = "people" if form.values["tab"] == "people" else "keys"
    start, end = _day(visit, form, "from"), _day(visit, form, "to")
    if end is not None:
        end += timedelta(days=1)
    of_people = form.values["tab"] == "people"
    found = _of_people if of_people else _of_keys
    entries, before = await found(visit, form, start, end) if form.ok else ([], "")
    members = await visit.parts.books.memberships.of_workspace(visit.workspace_id)
    return await visit.page(
        "activity.html",
        200 if form.ok else 422,
        section="activity",
        tab=form.values["tab"],
        entries=entries,
        form=form,
        actions=activity_words.PEOPLE if of_people else activity_words.KEYS,
        people=[(one.person.id, one.person.email) for one in members],
        next_href=_href(visit, form, before) if before else None,
    )


async def _of_keys(
    visit: Visit, form: Form, start: datetime | None, end: datetime | None
) -> tuple[list[EntryRow], str]:
    values = form.values
    request = audit_v1.ListAuditEntriesRequest(
        workspace_id=visit.workspace_id,
        person_id=values["person"],
        action=values["action"] if values["action"] in dict(activity_words.KEYS) else "",
        subject=values["subject"],
        page_size=PAGE,
        page_token=values["before"],
    )
    if start is not None:
        request.start_time.CopyFrom(timestamp(start))
    if end is not None:
        request.end_time.CopyFrom(timestamp(end))
    listed = await visit.authority.entries(request)
    return [_entry(visit, one) for one in listed.entries], listed.next_page_token


async def _of_people(
    visit: Visit, form: Form, start: datetime | None, end: datetime | None
) -> tuple[list[EntryRow], str]:
    before = form.values["before"]
    events = await visit.parts.books.history.page(
        workspace_id=visit.workspace_id,
        person_id=form.values["person"] or None,
        action=form.values["action"] or None,
        start=start,
        end=end,
        limit=PAGE + 1,
        before=int(before) if before.isascii() and before.isdigit() else None,
    )
    more = str(events[PAGE - 1].id) if len(events) > PAGE else ""
    return [_event(one) for one in events[:PAGE]], more


def _entry(visit: Visit, one: audit_v1.AuditEntry) -> EntryRow:
    is_key = one.subject.startswith("key_")
    href = url("key", workspace=visit.workspace_id, key=one.subject) if is_key else None
    return EntryRow(
        time=one.time.ToDatetime(tzinfo=UTC),
        who=one.person_name or one.caller_name,
        via=one.caller_name if one.person_name else "",
        sentence=activity_words.sentence(one.action),
        subject=one.details.get("name", one.subject),
        subject_href=href,
        source=one.source,
        request_id=one.request_id,
        details=[(name, value) for name, value in sorted(one.details.items()) if name != "name"],
        refused=one.refused,
        revision=one.revision,
    )


def _event(one: Event) -> EntryRow:
    return EntryRow(
        time=one.time,
        who=one.person_email or "the console",
        via="",
        sentence=activity_words.sentence(one.action),
        subject=one.details.get("email", one.subject),
        subject_href=None,
        source=one.source,
        request_id="",
        details=[(name, value) for name, value in sorted(one.details.items()) if name != "email"],
        refused=False,
        revision=0,
    )


def _day(visit: Visit, form: Form, field: str) -> datetime | None:
    text = form.values[field]
    if not text:
        return None
    try:
        return begin_of_day(text, zone_of(visit.me.time_zone))
    except ValueError as error:
        form.errors[field] = str(error)
        return None


def _href(visit: Visit, form: Form, before: str) -> str:
    wanted = {name: value for name, value in {**form.values, "before": before}.items() if value}
    return url("activity", workspace=visit.workspace_id) + "?" + urlencode(wanted)
