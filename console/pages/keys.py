"""The list of a workspace's keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from console import key_views, spending, words
from console.key_views import KeyRow
from console.paths import url
from console.visit import Visit
from keyauthority.base.http.answer import Answer

_PAGE: Final = 25
_STATES: Final = ("", "active", "paused", "expired", "revoked", "all")
_LONGEST_SEARCH: Final = 100


@dataclass(frozen=True, slots=True)
class KeyQuery:
    """What the list shows; `state` and `flag` are empty for all."""

    q: str = ""
    state: str = ""
    sort: str = "-created"
    flag: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A warning, the number of its keys, and the list of them."""

    flag: str
    title: str
    text: str
    count: int
    href: str
    active: bool


@dataclass(frozen=True, slots=True)
class Pages:
    """A page's place in the list; `total` counts rows."""

    number: int
    count: int
    total: int
    previous_href: str | None
    next_href: str | None


async def listing(visit: Visit) -> Answer:
    """Shows the keys, as searched, sorted and paged."""
    text, is_secret = visit.search("q")
    query = _query(visit, text)
    if is_secret:
        # The key is found by how its secret begins, and no address holds the rest.
        return visit.redirect(_href(visit, query))
    keys, more = await visit.authority.keys(visit.workspace_id)
    spent = await spending.of_keys(visit) if keys else None
    rows = [key_views.row(key, visit.now, spent) for key in keys]
    older = await _older(visit, query, spent, {row.id for row in rows}) if more and query.q else []
    matching = key_views.chosen([*rows, *older], query.q, query.state, query.flag)
    pages = _pages(visit, query, len(matching))
    first = (pages.number - 1) * _PAGE
    page = key_views.ordered(matching, query.sort)[first : first + _PAGE]
    return await visit.page(
        "keys.html",
        section="keys",
        rows=page,
        cards=_cards(visit, query, rows),
        query=query,
        sort_href=_sort_hrefs(visit, query),
        pages=pages,
        truncated=more,
        spent_known=spent is not None,
        empty="" if page else "no_match" if rows else "none",
    )


async def _older(
    visit: Visit, query: KeyQuery, spent: Mapping[str, int] | None, newest: set[str]
) -> list[KeyRow]:
    # The authority searches the names of all keys, not only of the newest.
    keys, _ = await visit.authority.keys(visit.workspace_id, name_contains=query.q)
    return [key_views.row(key, visit.now, spent) for key in keys if key.id not in newest]


def _query(visit: Visit, text: str) -> KeyQuery:
    state, sort, flag = visit.query("state"), visit.query("sort"), visit.query("flag")
    return KeyQuery(
        q=text[:_LONGEST_SEARCH],
        state=state if state in _STATES else "",
        sort=sort if key_views.is_order(sort) else "-created",
        flag=flag if flag in words.CARDS else "",
    )


def _cards(visit: Visit, query: KeyQuery, rows: list[KeyRow]) -> list[Card]:
    cards = []
    for flag, (title, text) in words.CARDS.items():
        count, active = sum(flag in row.flags for row in rows), query.flag == flag
        if count or active:
            # Without the search: the link leads to as many keys as the card says.
            href = _href(visit, KeyQuery(sort=query.sort, flag="" if active else flag))
            cards.append(Card(flag, title, text, count, href, active))
    return cards


def _sort_hrefs(visit: Visit, query: KeyQuery) -> dict[str, str]:
    return {
        column: _href(visit, query, sort=f"-{column}" if query.sort == column else column)
        for column in ("name", "created", "used", "expires", "spent")
    }


def _pages(visit: Visit, query: KeyQuery, total: int) -> Pages:
    count = max(-(-total // _PAGE), 1)
    text = visit.query("page")
    number = int(text) if text.isascii() and text.isdigit() else 1
    number = min(max(number, 1), count)
    return Pages(
        number=number,
        count=count,
        total=total,
        previous_href=_href(visit, query, page=str(number - 1)) if number > 1 else None,
        next_href=_href(visit, query, page=str(number + 1)) if number < count else None,
    )


def _href(visit: Visit, query: KeyQuery, **changed: str) -> str:
    values = {"q": query.q, "state": query.state, "sort": query.sort, "flag": query.flag, **changed}
    if values["sort"] == "-created":
        values["sort"] = ""
    text = urlencode({name: value for name, value in values.items() if value})
    path = url("keys", workspace=visit.workspace_id)
    return f"{path}?{text}" if text else path
