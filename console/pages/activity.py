"""Who did what: to keys, from the authority's audit; to people, from the console's history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Final
from urllib.parse import urlencode

from console import activity_entries
from console.activity_entries import OWNERS_ONLY, EntryRow
from console.forms import Form, without_secret
from console.moments import begin_of_day, end_of_day, zone_of
from console.paths import url
from console.people import Event, Role
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import AuditFilter, RefusedError, audit

_PAGE: Final = 50
_FILTERS: Final = ("tab", "person", "action", "subject", "from", "to", "before")
_BATCH: Final = 500
"""Events that are read at once where some of them are left out."""
_MOST_FORMER: Final = 500
"""Former members that can be chosen beside the members."""
_LONGEST_ID: Final = 18
"""Digits of an event's id; more would not fit into the database's integer."""
_BACKWARDS: Final = "This day is before the “From” day."
_NO_SUCH_PAGE: Final = "This part of the list is no longer there. “Show” begins with the newest."


async def show(visit: Visit) -> Answer:
    """Shows the newest entries that the filters leave."""
    subject, is_secret = visit.search("subject")
    if is_secret:
        # A secret was pasted as the key's id: no address holds it.
        keys = url("keys", workspace=visit.workspace_id)
        return visit.redirect(f"{keys}?{urlencode({'q': subject})}")
    people = await _people(visit)
    form = _filters(visit, dict(people))
    start, end = _day(visit, form, "from", begin_of_day), _day(visit, form, "to", end_of_day)
    if start is not None and end is not None and end <= start:
        form.errors["to"] = _BACKWARDS
    entries: list[EntryRow] = []
    before = ""
    if form.ok:
        read = _of_people if form.values["tab"] == "people" else _of_keys
        entries, before = await read(visit, form, start, end)
    return await visit.page(
        "activity.html",
        200 if form.ok else 422,
        section="activity",
        tab=form.values["tab"],
        entries=entries,
        form=form,
        actions=_actions(visit, form).items(),
        people=people,
        next_href=_href(visit, form, before) if before else None,
    )


def _filters(visit: Visit, people: dict[str, str]) -> Form:
    form = Form({name: without_secret(visit.query(name)) for name in _FILTERS})
    values = form.values
    values["tab"] = "people" if values["tab"] == "people" else "keys"
    # A value that can't be chosen filters nothing, and isn't shown as chosen.
    if values["person"] not in people:
        values["person"] = ""
    if values["action"] not in _actions(visit, form):
        values["action"] = ""
    return form


def _actions(visit: Visit, form: Form) -> dict[str, str]:
    if form.values["tab"] != "people":
        return activity_entries.KEYS
    hidden = _hidden(visit)
    return {name: text for name, text in activity_entries.PEOPLE.items() if name not in hidden}


def _hidden(visit: Visit) -> frozenset[str]:
    return frozenset() if visit.role is Role.OWNER else OWNERS_ONLY


async def _people(visit: Visit) -> list[tuple[str, str]]:
    # Members and former members, whose actions are still in the list.
    books = visit.parts.books
    joined = await books.history.page(
        workspace_id=visit.workspace_id, action="member.add", limit=_MOST_FORMER
    )
    members = await books.memberships.of_workspace(visit.workspace_id)
    emails = {event.person_id: event.person_email for event in joined if event.person_id}
    emails.update((member.person.id, member.person.email) for member in members)
    return sorted(emails.items(), key=lambda item: (item[1].casefold(), item[0]))


async def _of_keys(
    visit: Visit, form: Form, start: datetime | None, end: datetime | None
) -> tuple[list[EntryRow], str]:
    values = form.values
    filters = AuditFilter(
        workspace_id=visit.workspace_id,
        person_id=values["person"],
        action=activity_entries.action_of(values["action"]),
        subject=values["subject"],
        start=start,
        end=end,
    )
    try:
        page = await visit.authority.call(audit.page(filters, size=_PAGE, token=values["before"]))
    except RefusedError:
        form.problem = _NO_SUCH_PAGE
        return [], ""
    return await activity_entries.of_keys(visit, page.records), page.next_page_token


async def _of_people(
    visit: Visit, form: Form, start: datetime | None, end: datetime | None
) -> tuple[list[EntryRow], str]:
    before = form.values["before"]
    if before and not (before.isascii() and before.isdigit() and len(before) <= _LONGEST_ID):
        form.problem = _NO_SUCH_PAGE
        return [], ""
    events = await _events(visit, form, start, end, int(before) if before else None)
    more = str(events[_PAGE - 1].id) if len(events) > _PAGE else ""
    return await activity_entries.of_people(visit, events[:_PAGE]), more


async def _events(
    visit: Visit, form: Form, start: datetime | None, end: datetime | None, before: int | None
) -> list[Event]:
    # Pages without the hidden events are as long as others, and end where the list does.
    hidden = _hidden(visit)
    limit = _BATCH if hidden else _PAGE + 1
    visible: list[Event] = []
    while len(visible) <= _PAGE:
        events = await visit.parts.books.history.page(
            workspace_id=visit.workspace_id,
            person_id=form.values["person"] or None,
            action=form.values["action"] or None,
            start=start,
            end=end,
            limit=limit,
            before=before,
        )
        visible += [event for event in events if event.action not in hidden]
        if len(events) < limit:
            break
        before = events[-1].id
    return visible[: _PAGE + 1]


def _day(
    visit: Visit, form: Form, field: str, moment: Callable[[str, tzinfo], datetime]
) -> datetime | None:
    text = form.values[field]
    if not text:
        return None
    try:
        return moment(text, zone_of(visit.me.time_zone))
    except ValueError as error:
        form.errors[field] = str(error)
        return None


def _href(visit: Visit, form: Form, before: str) -> str:
    values = {name: value for name, value in {**form.values, "before": before}.items() if value}
    return url("activity", workspace=visit.workspace_id) + "?" + urlencode(values)
