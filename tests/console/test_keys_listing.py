"""The list of a workspace's keys: searched, sorted, filtered and a page at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from console.paths import url
from console.people import Role
from tests.console.keys_in_it import in_turn, made_key, taken_over
from tests.console.markup import Element
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


def rows(shown: Shown) -> list[Element]:
    """The rows of the list; none where there is no list."""
    return [row for body in shown.page.all("tbody") for row in body.all("tr")]


def names(shown: Shown) -> list[str]:
    return [row.one("th", scope="row").all("a")[0].text for row in rows(shown)]


def creators(shown: Shown) -> list[str]:
    """What stands below the day under "Created", as it is shown whole."""
    headings = [one.text for one in shown.page.one("thead").all("th")]
    column = headings.index("Created")
    cells = [[one for one in row if one.tag in ("th", "td")][column] for row in rows(shown)]
    return [cell.one("span").attributes["title"] for cell in cells]


def sorted_by(shown: Shown) -> dict[str, str]:
    """Which columns say that they are sorted, and how."""
    headings = shown.page.one("thead").all("th")
    return {
        one.text: one.attributes["aria-sort"] for one in headings if "aria-sort" in one.attributes
    }


def state(shown: Shown) -> str:
    """Which state is chosen in the search."""
    options = shown.page.one("select", name="state").all("option")
    chosen = [one.attributes["value"] for one in options if "selected" in one.attributes]
    return chosen[0] if chosen else options[0].attributes["value"]


def card_links(shown: Shown) -> list[Element]:
    """What deserves a look, if anything does."""
    return [
        link for part in shown.page.all("section", aria_labelledby="look") for link in part.all("a")
    ]


def cards(shown: Shown) -> dict[str, int]:
    """Title and count of each card."""
    spans = [link.all("span") for link in card_links(shown)]
    return {title.text: int(count.text) for count, title, *_ in spans}


def card(shown: Shown, title: str) -> Element:
    [found] = [link for link in card_links(shown) if link.all("span")[1].text == title]
    return found


def page_links(shown: Shown) -> dict[str, str]:
    """Where the pages before and behind are, by their relation."""
    links = [link for link in shown.page.all("a") if link.attributes.get("rel") in ("prev", "next")]
    return {link.attributes["rel"]: link.attributes["href"] for link in links}


def targets(shown: Shown) -> list[str]:
    """Where links and forms lead."""
    ends = [one.attributes.get("href") or one.attributes.get("action") for one in shown.page]
    return [one for one in ends if one]


def paths(shown: Shown) -> set[str]:
    """The same without what follows a question mark."""
    return {urlsplit(one).path for one in targets(shown)}


async def test_search_by_name_hint_id_and_creator(cast: Cast) -> None:
    """Whatever the case; and what was searched for stands in the field."""
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    key_id, secret = made_key(cast, browser, "Billing worker")
    taken_over(cast.console.edge, cast.workspace, ["nightly", "crawler"])
    for text in ("billing", "WORKER", key_id, secret[-4:], person.email):
        assert names(listed(cast, browser, q=text)) == ["Billing worker"], text
    field = listed(cast, browser, q="billing").page.one("input", name="q")
    assert field.attributes["value"] == "billing"
    none = listed(cast, browser, q="nothing like it")
    assert "No key matches" in none.text
    assert url("keys", workspace=cast.workspace) + "?state=all" in targets(none)


async def test_links_sort_by_each_column_and_turn_it_around(cast: Cast) -> None:
    """A click sorts by the column, another one the other way; search and state stay."""
    browser = await cast.visitor(Role.VIEWER)
    in_turn(cast.console.edge, cast.workspace, ["b", "C", "a"])
    shown = listed(cast, browser, state="active")
    assert names(shown) == ["a", "C", "b"]
    shown = browser.get(shown.page.one("thead").link("Key"))
    assert names(shown) == ["a", "b", "C"]
    assert sorted_by(shown) == {"Key": "ascending"}
    shown = browser.get(shown.page.one("thead").link("Key"))
    assert names(shown) == ["C", "b", "a"]
    assert sorted_by(shown) == {"Key": "descending"}
    assert state(shown) == "active"


async def test_the_creator_stands_with_each_key(cast: Cast) -> None:
    """The person's address for a key made in the console; else the caller that made it."""
    person = await cast.person(Role.MEMBER)
    browser = await cast.signed_in(person)
    made_key(cast, browser, "theirs")
    taken_over(cast.console.edge, cast.workspace, ["from elsewhere"])
    shown = listed(cast, browser, sort="name")
    assert list(zip(names(shown), creators(shown), strict=True)) == [
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
    for one in ("active", "paused", "revoked"):
        shown = listed(cast, browser, state=one)
        assert names(shown) == [one]
        assert state(shown) == one
    assert names(listed(cast, browser, state="expired")) == []
    shown = listed(cast, browser, state="all", sort="name")
    assert names(shown) == ["active", "paused", "revoked"]
    assert state(shown) == "all"
    everything_else = shown.page.one("select", name="state").one("option", value="")
    assert everything_else.text == "All but revoked"


async def test_when_all_are_revoked_the_list_says_so(cast: Cast) -> None:
    """Nothing was searched for, so nothing "doesn't match"; and the way to see them is there."""
    browser = await cast.visitor(Role.MEMBER)
    [key] = taken_over(cast.console.edge, cast.workspace, ["gone"])
    cast.console.edge.operator.revoke(key.id)
    shown = listed(cast, browser)
    assert "All keys are revoked" in shown.text
    all_of_them = browser.get(shown.page.link("Show all keys, revoked ones too"))
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
    title = "expiring within 14 days"
    assert "aria-current" not in card(shown, title).attributes
    expiring = browser.get(card(shown, title).attributes["href"])
    assert names(expiring) == ["ends b", "ends a"]
    assert card(expiring, title).attributes["aria-current"] == "true"
    back = browser.get(card(expiring, title).attributes["href"])
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
    assert page_links(shown).keys() == {"next"}
    found = names(shown)
    for _ in range(2):
        shown = browser.get(page_links(shown)["next"])
        found += names(shown)
    assert found == expected
    assert page_links(shown).keys() == {"prev"}
    before = browser.get(page_links(shown)["prev"])
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
    assert url("key_new", workspace=cast.workspace) not in paths(shown)


async def test_in_a_suspended_workspace_no_key_is_offered(cast: Cast) -> None:
    """Neither in a full list nor in an empty one, nor as a replacement; the reason is there."""
    browser = await cast.visitor(Role.MEMBER)
    cast.console.edge.operator.suspend(cast.workspace)
    new = url("key_new", workspace=cast.workspace)
    shown = listed(cast, browser)
    assert "No key can be created while the workspace is suspended" in shown.text
    assert new not in paths(shown)
    cast.console.edge.operator.suspend(cast.workspace, suspended=False)
    [key, _] = taken_over(cast.console.edge, cast.workspace, ["gone", "stays"])
    cast.console.edge.operator.revoke(key.id)
    page = url("key", workspace=cast.workspace, key=key.id)
    assert new in paths(listed(cast, browser))
    assert new in paths(browser.get(page))
    cast.console.edge.operator.suspend(cast.workspace)
    for shown in (listed(cast, browser), browser.get(page)):
        assert new not in paths(shown)


async def test_a_viewer_is_offered_nothing_to_change(cast: Cast) -> None:
    """No link to rotate, revoke or create in the list, and none on the key's page."""
    browser = await cast.visitor(Role.VIEWER)
    [key] = taken_over(cast.console.edge, cast.workspace, ["one"])
    href = url("key", workspace=cast.workspace, key=key.id)
    for shown in (listed(cast, browser), browser.get(href)):
        for end in ("/rotate", "/revoke", "/edit", "/pause", "/new"):
            assert not [one for one in paths(shown) if one.endswith(end)]
