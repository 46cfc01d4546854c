"""The credits of a workspace: what it has, what it spends, and the entries of its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from console import ledger_entries, spending
from console.authority import CreditsUnknownError
from console.forms import Form, without_secret
from console.key_views import is_key_id
from console.ledger_entries import EntryRow
from console.moments import begin_of_day, end_of_day, zone_of
from console.paths import url
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import EntryFilter, Key, RefusedError, ledger

_PAGE: Final = 50
_NEWEST: Final = 5
"""Entries that the overview has."""
_FILTERS: Final = ("kind", "key", "model", "from", "to", "before")
_BACKWARDS: Final = "This day is before the “From” day."
_NO_SUCH_PAGE: Final = "This part of the list is no longer there. “Show” begins with the newest."


async def overview(visit: Visit) -> Answer:
    """Shows the balance, the spend, and the newest entries."""
    workspace_id = visit.workspace_id
    try:
        account = await visit.authority.ledger(ledger.balance(workspace_id))
        newest = await visit.authority.ledger(ledger.page(EntryFilter(workspace_id), size=_NEWEST))
    except CreditsUnknownError as error:
        return await unknown(visit, error)
    spent = await spending.read(visit)
    ids = {name for name, _ in spent.by_key.rows} if spent is not None else set()
    return await visit.page(
        "credits.html",
        section="credits",
        account=account,
        entries=await ledger_entries.rows(visit, newest.records),
        spending=spent,
        lasts=spent.lasts_until(account.balance, visit.now) if spent is not None else None,
        key_names=await ledger_entries.key_names(visit.authority, workspace_id, ids),
    )


async def entries(visit: Visit) -> Answer:
    """Shows the newest entries that the filters leave."""
    keys = await _keys(visit)
    form = _filters(visit, keys)
    start, end = _days(visit, form)
    rows: list[EntryRow] = []
    before = ""
    if form.ok:
        try:
            rows, before = await _page(visit, form, start, end)
        except CreditsUnknownError as error:
            return await unknown(visit, error)
        except RefusedError:
            form.problem = _NO_SUCH_PAGE
    return await visit.page(
        "credits_entries.html",
        200 if form.ok else 422,
        section="credits",
        form=form,
        filtered=any(form.values.values()),
        keys=sorted(keys, key=lambda key: (key.settings.name.casefold(), key.id)),
        entries=rows,
        next_href=_href(visit, form, before) if before else None,
    )


async def unknown(visit: Visit, error: CreditsUnknownError) -> Answer:
    """Says why no credits can be shown."""
    return await visit.page(
        "credits_unknown.html", section="credits", role_missing=error.role_missing
    )


async def _keys(visit: Visit) -> list[Key]:
    # The newest, and the one that is chosen even if it is older.
    newest, more = await visit.authority.keys(visit.workspace_id)
    key_id = visit.query("key")
    if more and is_key_id(key_id) and key_id not in {key.id for key in newest}:
        return [*newest, *await visit.authority.some_keys(visit.workspace_id, [key_id])]
    return list(newest)


def _filters(visit: Visit, keys: Sequence[Key]) -> Form:
    form = Form({name: without_secret(visit.query(name)) for name in _FILTERS})
    values = form.values
    # A value that can't be chosen filters nothing, and isn't shown as chosen.
    if values["kind"] not in ledger_entries.KINDS:
        values["kind"] = ""
    if values["key"] not in {key.id for key in keys}:
        values["key"] = ""
    return form


def _days(visit: Visit, form: Form) -> tuple[datetime | None, datetime | None]:
    zone = zone_of(visit.me.time_zone)
    times: dict[str, datetime | None] = {}
    for field, moment in (("from", begin_of_day), ("to", end_of_day)):
        times[field] = None
        try:
            if form.values[field]:
                times[field] = moment(form.values[field], zone)
        except ValueError as error:
            form.errors[field] = str(error)
    start, end = times["from"], times["to"]
    if start is not None and end is not None and end <= start:
        form.errors["to"] = _BACKWARDS
    return start, end


async def _page(
    visit: Visit, form: Form, start: datetime | None, end: datetime | None
) -> tuple[list[EntryRow], str]:
    values = form.values
    which = EntryFilter(
        visit.workspace_id,
        ledger_entries.KINDS.get(values["kind"]),
        values["key"],
        values["model"],
        start=start,
        end=end,
    )
    page = await visit.authority.ledger(ledger.page(which, size=_PAGE, token=values["before"]))
    return await ledger_entries.rows(visit, page.records), page.next_page_token


def _href(visit: Visit, form: Form, before: str) -> str:
    values = {name: value for name, value in {**form.values, "before": before}.items() if value}
    return url("entries", workspace=visit.workspace_id) + "?" + urlencode(values)
