"""Who did what: to keys, from the authority's audit; to people, from the console's history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Final
from urllib.parse import urlencode

from console import activity_words, entry_rows
from console.forms import Form, without_secret
from console.moments import begin_of_day, end_of_day, zone_of
from console.paths import url
from console.people import Event, Role
from console.views import EntryRow
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import AuditFilter, RefusedError, audit

PAGE: Final = 50
_FILTERS: Final = ("tab", "person", "action", "subject", "from", "to", "before")
_AT_ONCE: Final = 500
"""How many events are read at once where some of them are left out."""
_FORMER: Final = 500
"""How many of those who ever joined can be chosen, beside the members."""
_LARGEST: Final = 18
"""More digits than any event's number has, and fewer than a database holds in one."""
_BACKWARDS: Final = "This day is before the first one."
_NO_SUCH_PAGE: Final = "This part of the list is no longer there. “Show” begins with the newest."


async def show(visit: Visit) -> Answer:
    """The newest first, as filtered."""
    begin, pasted = visit.searched("subject")
    if pasted:
        # A secret was pasted where a key's id goes: no address keeps it.
        keys = url("keys", workspace=visit.workspace_id)
        return visit.redirect(f"{keys}?{urlencode({'q': begin})}")
    people = await _people(visit)
    form = _asked(visit, dict(people))
    of_people = form.values["tab"] == "people"
    start, end = _day(visit, form, "from", begin_of_day), _day(visit, form, "to", end_of_day)
    if start is not None and end is not None and end <= start:
        form.errors["to"] = _BACKWARDS
    found = _of_people if of_people else _of_keys
    entries, before = await found(visit, form, start, end) if form.ok else ([], "")
    return await visit.page(
        "activity.html",
        200 if form.ok else 422,
        section="activity",
        tab=form.values["tab"],
        entries=entries,
        form=form,
        actions=_actions(visit, form),
        people=people,
        next_href=_href(visit, form, before) if before else None,
    )


def _asked(visit: Visit, people: dict[str, str]) -> Form:
    form = Form({name: without_secret(visit.asked(name)) for name in _FILTERS})
    values = form.values
    values["tab"] = "people" if values["tab"] == "people" else "keys"
    # What can't be chosen filters nothing, and isn't shown as chosen.
    if values["person"] not in people:
        values["person"] = ""
    if values["action"] not in dict(_actions(visit, form)):
        values["action"] = ""
    return form


def _actions(visit: Visit, form: Form) -> tuple[tuple[str, str], ...]:
    if form.values["tab"] != "people":
        return activity_words.KEYS
    if visit.role is Role.OWNER:
        return activity_words.PEOPLE
    return tuple(one for one in activity_words.PEOPLE if one[0] not in activity_words.OWNERS)


async def _people(visit: Visit) -> list[tuple[str, str]]:
    # Members, and who was one: what they did is still in the list.
    books = visit.parts.books
    joined = await books.history.page(
        workspace_id=visit.workspace_id, action="member.add", limit=_FORMER
    )
    members = await books.memberships.of_workspace(visit.workspace_id)
    found = {one.person_id: one.person_email for one in joined if one.person_id}
    found.update((one.person.id, one.person.email) for one in members)
    return sorted(found.items(), key=lambda one: (one[1].casefold(), one[0]))


async def _of_keys(
    visit: Visit, form: Form, start: datetime | None, end: datetime | None
) -> tuple[list[EntryRow], str]:
    values = form.values
    which = AuditFilter(
        workspace_id=visit.workspace_id,
        person_id=values["person"],
        action=activity_words.action_of(values["action"]),
        subject=values["subject"],
        start=start,
        end=end,
    )
    try:
        page = await visit.authority.call(audit.page(which, size=PAGE, token=values["before"]))
    except RefusedError:
        form.problem = _NO_SUCH_PAGE
        return [], ""
    return await entry_rows.of_keys(visit, page.records), page.next_page_token


async def _of_people(
    visit: Visit, form: Form, start: datetime | None, end: datetime | None
) -> tuple[list[EntryRow], str]:
    before = form.values["before"]
    if before and not (before.isascii() and before.isdigit() and len(before) <= _LARGEST):
        form.problem = _NO_SUCH_PAGE
        return [], ""
    events = await _events(visit, form, start, end, int(before) if before else None)
    more = str(events[PAGE - 1].id) if len(events) > PAGE else ""
    return await entry_rows.of_people(visit, events[:PAGE]), more


async def _events(
    visit: Visit, form: Form, start: datetime | None, end: datetime | None, before: int | None
) -> list[Event]:
    # Who is invited is for owners to know; others' pages are as long, and end where the list does.
    hidden = frozenset[str]() if visit.role is Role.OWNER else activity_words.OWNERS
    limit = _AT_ONCE if hidden else PAGE + 1
    shown: list[Event] = []
    while len(shown) <= PAGE:
        events = await visit.parts.books.history.page(
            workspace_id=visit.workspace_id,
            person_id=form.values["person"] or None,
            action=form.values["action"] or None,
            start=start,
            end=end,
            limit=limit,
            before=before,
        )
        shown += [one for one in events if one.action not in hidden]
        if len(events) < limit:
            break
        before = events[-1].id
    return shown[: PAGE + 1]


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
    wanted = {name: value for name, value in {**form.values, "before": before}.items() if value}
    return url("activity", workspace=visit.workspace_id) + "?" + urlencode(wanted)
