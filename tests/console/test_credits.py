"""The credits of a workspace as its people see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.people import People, Role, open_people
from keyauthority.base.process.files import write_private
from tests.console.credits_in_it import CREDIT, Ledger, path_of, rows, typed
from tests.console.keys_in_it import taken_over
from tests.console.living import Console
from tests.console.people_in_it import Cast
from tests.console.visiting import Visitor
from tests.e2e.edge import Edge

MINUS = "\N{MINUS SIGN}"


@pytest.fixture
def ledger(cast: Cast) -> Ledger:
    return Ledger(cast)


@pytest.fixture
async def viewer(cast: Cast) -> Visitor:
    return await cast.visitor(Role.VIEWER)


async def test_a_workspace_without_credits_says_what_to_do_first(
    cast: Cast, viewer: Visitor
) -> None:
    """Whom to ask; an administrator gets the form."""
    for page in ("credits", "entries"):
        assert (
            "Ask an administrator of this console to top up" in viewer.get(path_of(cast, page)).text
        )
    administrator = await cast.visitor(Role.MEMBER, administrator=True)
    for page in ("credits", "entries"):
        empty = administrator.get(path_of(cast, page)).page.one("div", **{"class": "empty"})
        assert administrator.get(empty.link("Top up")).status == 200


async def test_the_balance_and_the_newest_entries(
    cast: Cast, ledger: Ledger, viewer: Visitor
) -> None:
    """Each entry with its sign, what it was for, by whom and why."""
    ledger.top_up(10, "order-1", "paid by bank")
    ledger.adjust(-2_500_000_001, "counted twice")
    page = viewer.get(path_of(cast, "credits"))
    assert page.status == 200
    assert page.page.one("p", **{"class": "figure"}).text == "7.499999999 credits"
    assert rows(page) == [
        ["Adjustment", "Adjustment", f"{MINUS}2.500000001"],
        ["Top-up", "Top-up order-1", "+10.00"],
    ]
    for text in ("“counted twice”", "“paid by bank”", "by root"):
        assert text in page.text


async def test_a_debt_is_said_to_stop_requests(cast: Cast, ledger: Ledger, viewer: Visitor) -> None:
    """Nothing left, or less: what clients are told, and whom to ask."""
    ledger.top_up(1)
    assert "402" not in viewer.get(path_of(cast, "credits")).text
    ledger.adjust(-CREDIT)
    page = viewer.get(path_of(cast, "credits"))
    assert "No credits are left" in page.text
    assert "402" in page.text


async def test_entries_are_filtered(cast: Cast, ledger: Ledger, viewer: Visitor) -> None:
    """By kind and day; what can't be chosen filters nothing."""
    ledger.top_up(10, "order-1")
    ledger.adjust(-CREDIT)
    page = viewer.get(path_of(cast, "entries", "kind=grant"))
    assert [kind for kind, *_ in rows(page)] == ["Top-up"]
    today, tomorrow = (
        (datetime.now(UTC) + timedelta(days=days)).date().isoformat() for days in (0, 1)
    )
    assert len(rows(viewer.get(path_of(cast, "entries", f"from={today}&to={tomorrow}")))) == 2
    none = viewer.get(path_of(cast, "entries", f"from={tomorrow}"))
    assert "No entry matches" in none.text
    everything = viewer.get(none.page.link("Show everything"))
    assert len(rows(everything)) == 2
    assert len(rows(viewer.get(path_of(cast, "entries", "kind=nonsense&key=key_nonsense")))) == 2


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("from=yesterday", "year-month-day"),
        ("from=2026-11-02&to=2026-11-01", "before the “From” day"),
        ("before=nonsense", "no longer there"),
    ],
)
async def test_a_filter_that_can_not_be_is_said_so(
    query: str, sentence: str, cast: Cast, viewer: Visitor
) -> None:
    """422, and why."""
    page = viewer.get(path_of(cast, "entries", query))
    assert page.status == 422
    assert sentence in page.text


async def test_a_secret_that_was_pasted_as_a_model_is_not_repeated(
    cast: Cast, viewer: Visitor
) -> None:
    """Only how it begins."""
    secret = "sk-optk-" + "A1b2" * 16 + "c"
    page = viewer.get(path_of(cast, "entries", f"model={secret}"))
    assert secret not in page.html
    assert "sk-optk-A1b2" in page.html


async def test_entries_come_a_page_at_a_time(cast: Cast, ledger: Ledger, viewer: Visitor) -> None:
    """The newest first, all of them once, with the filters going along."""
    references = [ledger.top_up(1, f"order-{number:03}").reference for number in range(120)]
    ledger.adjust(-1)
    found = []
    page = viewer.get(path_of(cast, "entries", "kind=grant"))
    while True:
        found += [title.removeprefix("Top-up ") for _, title, _ in rows(page)]
        further = page.page.all("a", rel="next")
        if not further:
            break
        page = viewer.get(further[0].attributes["href"])
    assert found == references[::-1]


async def test_what_was_typed_is_text(cast: Cast, ledger: Ledger, viewer: Visitor) -> None:
    """Notes and names of purchases are no markup."""
    ledger.top_up(1, "<b>order</b>", "<script>alert(1)</script>")
    for page in ("credits", "entries", "statement"):
        html = viewer.get(path_of(cast, page)).html
        assert "<b>order" not in html
        assert "<script>alert" not in html
        assert "&lt;b&gt;order" in html


@pytest.fixture
def poor_console(edge: Edge, tmp_path: Path) -> Iterator[Console]:
    """A console whose token lacks the role `biller`, as those made before there were credits."""
    console = Console(edge, tmp_path / "poor")
    console.stop()
    token = edge.operator.console_token(f"poor {tmp_path.name}", bills=False)
    write_private(console.token_file, token + "\n")
    console.start()
    try:
        yield console
    finally:
        console.stop()


@pytest.fixture
async def poor_books(poor_console: Console) -> AsyncIterator[People]:
    async with open_people(poor_console.database) as books:
        yield books


async def test_a_console_without_the_role_says_so(
    poor_console: Console, poor_books: People
) -> None:
    """A sentence for whoever runs it; all other pages are as before."""
    cast = Cast(poor_console, poor_books, poor_console.edge.operator.workspace("Acme"))
    browser = await cast.visitor(Role.MEMBER, administrator=True)
    poor_console.edge.operator.issue(cast.workspace)
    for page in ("credits", "entries", "statement", "statement_csv"):
        answer = browser.get(path_of(cast, page))
        assert answer.status == 200
        assert "lacks the role biller" in answer.text, page
    for page in ("top_up", "adjust"):
        answer = browser.get(path_of(cast, page))
        assert answer.status == 200
        assert "lacks the role biller" in answer.text, page
        assert typed_unseen(browser, answer.path) == 503
    keys = browser.get(path_of(cast, "keys"))
    assert keys.status == 200
    assert "Last used" in keys.text


def typed_unseen(browser: Visitor, path: str) -> int:
    token = dict(browser.get("/account").form("/account").fields)["csrf"]
    values = {"csrf": token, "amount": "5", "purchase_id": "p", "reason": "r", "reference": "r"}
    return browser.post(path, values).status


async def test_days_are_those_of_the_reader(cast: Cast, ledger: Ledger) -> None:
    """In UTC, or in the zone that the person chose; the page says which."""
    browser = await cast.visitor(Role.VIEWER)
    ledger.top_up(1)
    assert "Days are in UTC" in browser.get(path_of(cast, "entries")).text
    typed(browser, "/account", name="Somebody", time_zone="Asia/Seoul")
    page = browser.get(path_of(cast, "entries"))
    assert "Days are in Asia/Seoul" in page.text
    assert "KST" in page.text


async def test_a_key_that_is_older_than_the_list_can_be_chosen(cast: Cast, viewer: Visitor) -> None:
    """A bar leads to it; the key of another workspace is not there."""
    edge = cast.console.edge
    [old] = taken_over(edge, cast.workspace, ["old"])
    [foreign] = taken_over(edge, edge.operator.workspace("Other"), ["foreign"])
    taken_over(edge, cast.workspace, [f"key {number}" for number in range(1_000)])
    page = viewer.get(path_of(cast, "entries", f"key={old.id}"))
    assert ("key", old.id) in page.form(path_of(cast, "entries")).fields
    page = viewer.get(path_of(cast, "entries", f"key={foreign.id}"))
    assert foreign.id not in page.html
