"""A workspace's keys: the list, and each of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from console import key_views, words
from console.paths import url
from console.views import Card, KeyQuery, KeyRow, Pages
from console.visit import Visit
from keyauthority.base.http.answer import Answer
from keyauthority.client.admin import Key, UnavailableError

_STATES: Final = ("", "active", "paused", "expired", "revoked", "all")
_LONGEST: Final = 100


async def listing(visit: Visit) -> Answer:
    """The list, as searched, sorted and turned to."""
    text, pasted = visit.searched("q")
    query = _query(visit, text)
    if pasted:
        # A secret was pasted: its key is found by how it begins, and no address keeps the rest.
        return visit.redirect(_href(visit, query))
    keys, more = await visit.authority.keys(visit.workspace_id)
    rows = [key_views.row(key, visit.now) for key in keys]
    older = await _older(visit, query, {row.id for row in rows}) if more and query.q else []
    matching = key_views.chosen([*rows, *older], query.q, query.state, query.flag)
    pages = _pages(visit, query, len(matching))
    first = (pages.number - 1) * key_views.PAGE
    shown = key_views.ordered(matching, query.sort)[first : first + key_views.PAGE]
    return await visit.page(
        "keys.html",
        section="keys",
        rows=shown,
        cards=_cards(visit, query, rows),
        query=query,
        sort_href=_sort_hrefs(visit, query),
        pages=pages,
        truncated=more,
        empty="" if shown else "no_match" if rows else "none",
    )


async def _older(visit: Visit, query: KeyQuery, known: set[str]) -> list[KeyRow]:
    # Beside the newest: by name the authority looks through all.
    keys, _ = await visit.authority.keys(visit.workspace_id, name_contains=query.q)
    return [key_views.row(key, visit.now) for key in keys if key.id not in known]


async def details(visit: Visit) -> Answer:
    """One key."""
    key = await visit.authority.key(visit.workspace_id, visit.path["key"])
    return await visit.page(
        "key.html",
        section="keys",
        key=key_views.details(key, visit.now),
        activity_href=activity_of(visit, key.id),
        replace_href=replacement_of(visit, key.settings.name, key.settings.scopes),
    )


async def known(visit: Visit) -> KeyRow:
    """The key of the path; in a form shown again, its last known name while the authority is away."""
    key_id = visit.path["key"]
    try:
        key = await visit.authority.key(visit.workspace_id, key_id)
    except UnavailableError:
        if visit.reading:
            raise
        name = visit.parts.names.get(f"{visit.workspace_id}/{key_id}", key_id)
        return key_views.last_known(visit.workspace_id, key_id, name, visit.now)
    return remembered(visit, key)


def remembered(visit: Visit, key: Key) -> KeyRow:
    """The key for a form, which is shown again by its name while the authority is away."""
    visit.parts.names.remember(f"{visit.workspace_id}/{key.id}", key.settings.name)
    return key_views.row(key, visit.now)


def replacement_of(visit: Visit, name: str, scopes: Iterable[str]) -> str:
    """The form for another key like this one: without its scopes it would be let do more."""
    wanted = {"name": name, "scopes": " ".join(scopes)}
    place = url("key_new", workspace=visit.workspace_id)
    return f"{place}?{urlencode({key: value for key, value in wanted.items() if value})}"


def activity_of(visit: Visit, key_id: str) -> str:
    """Where it is told what was done to a key."""
    return url("activity", workspace=visit.workspace_id) + "?" + urlencode({"subject": key_id})


def _query(visit: Visit, text: str) -> KeyQuery:
    state, sort, flag = visit.asked("state"), visit.asked("sort"), visit.asked("flag")
    return KeyQuery(
        q=text[:_LONGEST],
        state=state if state in _STATES else "",
        sort=sort if key_views.is_order(sort) else "-created",
        flag=flag if flag in words.CARDS else "",
    )


def _cards(visit: Visit, query: KeyQuery, rows: list[KeyRow]) -> list[Card]:
    cards = []
    for flag, (title, text) in words.CARDS.items():
        count, active = sum(flag in one.flags for one in rows), query.flag == flag
        if count or active:
            # To as many keys as it says, whatever was searched for before.
            href = _href(visit, KeyQuery(sort=query.sort, flag="" if active else flag))
            cards.append(Card(flag, title, text, count, href, active))
    return cards


def _sort_hrefs(visit: Visit, query: KeyQuery) -> dict[str, str]:
    return {
        column: _href(visit, query, sort=f"-{column}" if query.sort == column else column)
        for column in ("name", "created", "used", "expires")
    }


def _pages(visit: Visit, query: KeyQuery, total: int) -> Pages:
    count = max(-(-total // key_views.PAGE), 1)
    asked = visit.asked("page")
    number = int(asked) if asked.isascii() and asked.isdigit() else 1
    number = min(max(number, 1), count)
    return Pages(
        number=number,
        count=count,
        total=total,
        previous_href=_href(visit, query, page=str(number - 1)) if number > 1 else None,
        next_href=_href(visit, query, page=str(number + 1)) if number < count else None,
    )


def _href(visit: Visit, query: KeyQuery, **changed: str) -> str:
    wanted = {"q": query.q, "state": query.state, "sort": query.sort, "flag": query.flag}
    wanted = {name: value for name, value in {**wanted, **changed}.items() if value}
    if wanted.get("sort") == "-created":
        del wanted["sort"]
    path = url("keys", workspace=visit.workspace_id)
    return f"{path}?{urlencode(wanted)}" if wanted else path
