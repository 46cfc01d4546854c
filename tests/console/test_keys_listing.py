"""The list of a workspace's keys: searched, sorted, filtered and a page at a time."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from console.paths import url
from console.people import Role
from tests.console.keys_in_it import in_turn, made_key, taken_over
from tests.console.people_in_it import Cast
from tests.console.visiting import Shown, Visitor


def soon() -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.now(UTC) + timedelta(days=3))
    return stamp


def listed(cast: Cast, browser: Visitor, **query: str) -> Shown:
    shown = browser.get(url("keys", workspace=cast.workspace) + "?" + urlencode(query))
    assert shown.status == 200
    return shown


def names(shown: Shown) -> list[str]:
    found = re.findall(r'class="cell-key"><a class="strong" href="[^"]+">([^<]*)</a>', shown.html)
    return [html.unescape(one) for one in found]


def link(shown: Shown, pattern: str) -> str:
    found = re.search(pattern, shown.html)
    assert found is not None, shown.text
    return html.unescape(found[1])


def cards(shown: Shown) -> dict[str, int]:
    found = re.findall(
        r'class="card-count">(\d+)</span><span class="card-title">([^<]+)<', shown.html
    )
    return {title: int(count) for count, title in found}


async def test_search_by_name_hint_id_and_creator(cast: Cast) -> None:
    """Whatever the case; and what was searched for stands in the field."""
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    key_id, secret = made_key(cast, browser, "Billing worker")
    taken_over(cast.console.edge, cast.workspace, ["nightly", "crawler"])
    for text in ("billing", "WORKER", key_id, secret[-4:], person.email):
        assert names(listed(cast, browser, q=text)) == ["Billing worker"], text
    assert 'value="billing"' in listed(cast, browser, q="billing").html
    none = listed(cast, browser, q="nothing like it")
    assert "No key matches" in none.text
    assert url("keys", workspace=cast.workspace) + "?state=all" in none.html


async def test_links_sort_by_each_column_and_turn_it_around(cast: Cast) -> None:
    """A click sorts by the column, another one the other way; search and state stay."""
    browser = await cast.visitor(Role.VIEWER)
    in_turn(cast.console.edge, cast.workspace, ["b", "C", "a"])
    shown = listed(cast, browser, state="active")
    assert names(shown) == ["a", "C", "b"]
    column = r'<a class="sort" href="([^"]+)">Key'
    shown = browser.get(link(shown, column))
    assert names(shown) == ["a", "b", "C"]
    assert 'aria-sort="ascending"' in shown.html
    shown = browser.get(link(shown, column))
    assert names(shown) == ["C", "b", "a"]
    assert 'aria-sort="descending"' in shown.html
    assert '<option value="active" selected>' in shown.html


async def test_the_creator_stands_with_each_key(cast: Cast) -> None:
    """The person's address for a key made in the console; else the caller that made it."""
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    made_key(cast, browser, "theirs")
    taken_over(cast.console.edge, cast.workspace, ["from elsewhere"])
    shown = listed(cast, browser, sort="name")
    creators = re.findall(r'<span class="sub" title="([^"]*)">', shown.html)
    assert list(zip(names(shown), creators, strict=True)) == [
        ("from elsewhere", "root"),
        ("theirs", person.email),
    ]


async def test_states(cast: Cast) -> None:
    """Revoked keys are listed when they are asked for, alone or with all others."""
    browser = await cast.visitor(Role.MEMBER)
    edge = cast.console.edge
    _, paused, revoked = in_turn(edge, cast.workspace, ["active", "paused", "revoked"])
    edge.operator.revoke(revoked.id)
    href = url("key", workspace=cast.workspace, key=paused.id)
    browser.submit(browser.get(href), f"{href}/pause")
    assert names(listed(cast, browser, sort="name")) == ["active", "paused"]
    for state in ("active", "paused", "revoked"):
        shown = listed(cast, browser, state=state)
        assert names(shown) == [state]
        assert f'<option value="{state}" selected>' in shown.html
    assert names(listed(cast, browser, state="expired")) == []
    shown = listed(cast, browser, state="all", sort="name")
    assert names(shown) == ["active", "paused", "revoked"]
    assert '<option value="all" selected>' in shown.html
    assert '<option value="">All but revoked</option>' in shown.html


async def test_when_all_are_revoked_the_list_says_so(cast: Cast) -> None:
    """Nothing was searched for, so nothing "doesn't match"; and the way to see them is there."""
    browser = await cast.visitor(Role.MEMBER)
    [key] = taken_over(cast.console.edge, cast.workspace, ["gone"])
    cast.console.edge.operator.revoke(key.id)
    shown = listed(cast, browser)
    assert "All keys are revoked" in shown.text
    all_of_them = browser.get(link(shown, r'<a class="button" href="([^"]+\?state=all)"'))
    assert names(all_of_them) == ["gone"]
    assert "Create key" in shown.text


async def test_cards_count_what_deserves_a_look_and_lead_to_it(cast: Cast) -> None:
    """As many as the card says are behind it, whatever was searched for; again leads back to all."""
    browser = await cast.visitor(Role.VIEWER)
    edge = cast.console.edge
    in_turn(edge, cast.workspace, ["ends a", "ends b"], expire_time=soon())
    taken_over(edge, cast.workspace, ["lasts a", "lasts b", "lasts c"])
    [gone] = taken_over(edge, cast.workspace, ["gone"])
    edge.operator.revoke(gone.id)
    shown = listed(cast, browser, q="lasts a", state="active")
    assert cards(shown) == {"expiring within 14 days": 2, "without an expiry": 3}
    expiring = browser.get(link(shown, r'class="card" href="([^"]*flag=expiring[^"]*)"'))
    assert names(expiring) == ["ends b", "ends a"]
    assert 'aria-current="true"' in expiring.html
    back = browser.get(link(expiring, r'class="card" href="([^"]+)" aria-current'))
    assert len(names(back)) == 5
    # A search within what a card shows stays within.
    assert names(listed(cast, browser, q="ends a", flag="expiring")) == ["ends a"]
    form = expiring.form(url("keys", workspace=cast.workspace))
    assert ("flag", "expiring") in form.fields


async def test_keys_come_a_page_at_a_time(cast: Cast) -> None:
    """Sixty keys are three pages, each once; links go on with search and order."""
    browser = await cast.visitor(Role.VIEWER)
    expected = [f"key {number:02}" for number in range(60)]
    taken_over(cast.console.edge, cast.workspace, expected)
    shown = listed(cast, browser, q="key", sort="name")
    assert "60 keys · page 1 of 3" in shown.text
    assert 'rel="prev"' not in shown.html
    found = names(shown)
    for _ in range(2):
        shown = browser.get(link(shown, r'rel="next" href="([^"]+)"'))
        found += names(shown)
    assert found == expected
    assert 'rel="next"' not in shown.html
    before = browser.get(link(shown, r'rel="prev" href="([^"]+)"'))
    assert names(before) == expected[25:50]


@pytest.mark.parametrize(
    "query",
    [
        {"page": "0"},
        {"page": "-1"},
        {"page": "²"},
        {"page": "nonsense"},
        {"page": "1" * 5_000},
        {"sort": "secret"},
        {"sort": "--name"},
        {"state": "none such"},
        {"flag": "none such"},
        {"q": "\0"},
        {"q": "\x1b\u202e"},
    ],
)
async def test_what_cannot_be_asked_for_changes_nothing(query: dict[str, str], cast: Cast) -> None:
    """The list is as it is without it."""
    browser = await cast.visitor(Role.VIEWER)
    in_turn(cast.console.edge, cast.workspace, ["one", "two"])
    assert names(listed(cast, browser, **query)) == ["two", "one"]


async def test_a_page_behind_the_last_is_the_last(cast: Cast) -> None:
    """Of thirty keys page 9999 shows the last five."""
    browser = await cast.visitor(Role.VIEWER)
    taken_over(cast.console.edge, cast.workspace, [f"key {number:02}" for number in range(30)])
    assert len(names(listed(cast, browser, page="9999"))) == 5


async def test_bytes_that_are_no_text_are_no_fault(cast: Cast) -> None:
    """Whatever stands behind the question mark, the page is there."""
    browser = await cast.visitor(Role.VIEWER)
    for name in ("keys", "activity"):
        path = url(name, workspace=cast.workspace)
        for raw in ("%ff", "%ed%a0%80", "%00", "%", "&&==", "%zz"):
            for parameter in ("q", "state", "person", "subject", "from", "done"):
                shown = browser.get(f"{path}?{parameter}={raw}")
                assert shown.status in (200, 422), (parameter, raw)


async def test_more_than_a_thousand_keys(cast: Cast) -> None:
    """It is said that only the newest are listed; a search finds older ones by their name."""
    browser = await cast.visitor(Role.MEMBER)
    edge = cast.console.edge
    taken_over(edge, cast.workspace, ["the oldest of all", "the second"])
    assert "more than 1,000 keys" not in listed(cast, browser).text
    taken_over(edge, cast.workspace, [f"key {number:04}" for number in range(1_000)])
    shown = listed(cast, browser)
    assert "more than 1,000 keys" in shown.text
    assert "1,000 keys · page 1 of 40" in shown.text
    assert cards(shown)["without an expiry"] == 1_000
    assert names(listed(cast, browser, q="OLDEST")) == ["the oldest of all"]
    # What isn't found is no empty workspace, and what isn't a name is found among the newest.
    none = listed(cast, browser, q="nothing like it")
    assert "No key matches" in none.text
    assert "No keys yet" not in none.text
    newest = made_key(cast, browser, "made last")[0]
    assert names(listed(cast, browser, q=newest)) == ["made last"]


async def test_a_workspace_without_keys_says_what_to_do(cast: Cast) -> None:
    """A member is asked to create the first one; a viewer is told whom to ask."""
    member, viewer = await cast.visitor(Role.MEMBER), await cast.visitor(Role.VIEWER)
    shown = listed(cast, member)
    assert "No keys yet" in shown.text
    assert "Create the first key" in shown.text
    shown = listed(cast, viewer)
    assert "You may look, but not create keys" in shown.text
    assert url("key_new", workspace=cast.workspace) not in shown.html


async def test_in_a_suspended_workspace_no_key_is_offered(cast: Cast) -> None:
    """Neither in a full list nor in an empty one, nor as a replacement; the reason is there."""
    browser = await cast.visitor(Role.MEMBER)
    cast.console.edge.operator.suspend(cast.workspace)
    new = url("key_new", workspace=cast.workspace)
    shown = listed(cast, browser)
    assert "No key can be created while the workspace is suspended" in shown.text
    assert new not in shown.html
    cast.console.edge.operator.suspend(cast.workspace, suspended=False)
    [key, _] = taken_over(cast.console.edge, cast.workspace, ["gone", "stays"])
    cast.console.edge.operator.revoke(key.id)
    page = url("key", workspace=cast.workspace, key=key.id)
    assert new in listed(cast, browser).html
    assert new in browser.get(page).html
    cast.console.edge.operator.suspend(cast.workspace)
    for shown in (listed(cast, browser), browser.get(page)):
        assert new not in shown.html


async def test_a_viewer_is_offered_nothing_to_change(cast: Cast) -> None:
    """No link to rotate, revoke or create in the list, and none on the key's page."""
    browser = await cast.visitor(Role.VIEWER)
    [key] = taken_over(cast.console.edge, cast.workspace, ["one"])
    href = url("key", workspace=cast.workspace, key=key.id)
    for shown in (listed(cast, browser), browser.get(href)):
        for end in ("/rotate", "/revoke", "/edit", "/pause", "/new"):
            assert f'{end}"' not in shown.html
