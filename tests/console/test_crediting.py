"""Administrators top up and adjust: exactly, once, and with a receipt; nobody else does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from console.people import Role
from tests.console.credits_in_it import CREDIT, Ledger, granted, path_of, rows, typed
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Visitor


@pytest.fixture
def ledger(cast: Cast) -> Ledger:
    return Ledger(cast)


@pytest.fixture
async def administrator(cast: Cast) -> Visitor:
    return await cast.visitor(administrator=True)


async def test_a_top_up_is_entered_with_its_receipt(
    cast: Cast, ledger: Ledger, administrator: Visitor
) -> None:
    """The page has amount, balance, receipt and reference; the ledger names the person."""
    form = administrator.get(path_of(cast, "top_up"))
    [name] = [value for field, value in form.form(form.path).fields if field == "purchase_id"]
    done = administrator.submit(form, form.path, amount="2.500000001", note="Invoice 7")
    assert done.status == 200
    for text in ("+2.500000001 credits", "has 2.500000001 credits now", "In force everywhere"):
        assert text in done.page.text
    assert name in done.text
    [entry] = ledger.entries()
    assert (entry.amount_nano_credits, entry.reference) == (2_500_000_001, name)
    assert entry.note == "Invoice 7"
    assert entry.person_name.endswith("@example.com")
    assert entry.caller_name.startswith("console ")


async def test_a_form_that_is_sent_twice_adds_once(
    cast: Cast, ledger: Ledger, administrator: Visitor
) -> None:
    """At the same time or later: the purchase stands in the form."""
    form = administrator.get(path_of(cast, "top_up"))
    with ThreadPoolExecutor(4) as pool:
        sent = [
            pool.submit(administrator.submit, form, form.path, amount="10", note="")
            for _ in range(4)
        ]
    answers = [one.result() for one in sent]
    answers.append(administrator.submit(form, form.path, amount="10", note=""))
    assert {one.status for one in answers} == {200}
    assert all("has 10.00 credits now" in one.text for one in answers)
    assert ledger.balance() == 10 * CREDIT
    # A new form is a new purchase.
    assert typed(administrator, form.path, amount="10").status == 200
    assert ledger.balance() == 20 * CREDIT


async def test_a_purchase_has_one_amount(
    cast: Cast, ledger: Ledger, administrator: Visitor
) -> None:
    """Another amount under its name is refused beside the name, and what was typed stays."""
    ledger.top_up(10, "invoice-7")
    path = path_of(cast, "top_up")
    refused = typed(administrator, path, amount="11", purchase_id="invoice-7", note="again")
    assert refused.status == 422
    assert "another entry with this name" in refused.text
    values = [("amount", "11"), ("purchase_id", "invoice-7"), ("note", "again")]
    assert set(values) <= set(refused.form(path).fields)
    assert ledger.balance() == 10 * CREDIT


async def test_a_purchase_of_before_is_said_to_be_of_before(
    cast: Cast, ledger: Ledger, administrator: Visitor
) -> None:
    """Whoever enters somebody else's invoice again reads that nothing was added now."""
    await granted(cast, "invoice-7", 10 * CREDIT, timedelta(hours=1))
    known = typed(administrator, path_of(cast, "top_up"), amount="10", purchase_id="invoice-7")
    assert known.status == 200
    assert "These credits were added before" in known.text
    assert "In force" not in known.text
    assert ledger.balance() == 10 * CREDIT


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        ("", "Say how many credits"),
        ("1,5", "Write a point before the decimals"),
        ("ten", "no decimal number of credits"),
        ("0", "more than zero"),
        ("-3", "more than zero"),
        ("0.0000000001", "finer than a nano-credit"),
        ("100000000.5", "more than 100000000 credits"),
        ("sk-optk-" + "A" * 65, "contains a key’s secret"),
    ],
)
async def test_what_is_no_amount_adds_nothing(
    amount: str, sentence: str, cast: Cast, ledger: Ledger, administrator: Visitor
) -> None:
    """The form says what is wrong, beside the field."""
    refused = typed(administrator, path_of(cast, "top_up"), amount=amount)
    assert refused.status == 422
    assert sentence in refused.page.one("p", id="amount-error").text
    assert ledger.entries() == []


async def test_a_purchase_needs_a_name(cast: Cast, ledger: Ledger, administrator: Visitor) -> None:
    """Without one nobody could tell a repeat from a second purchase."""
    refused = typed(administrator, path_of(cast, "top_up"), amount="1", purchase_id="")
    assert refused.status == 422
    assert "Name the purchase" in refused.text
    assert ledger.entries() == []


async def test_a_balance_is_adjusted_down_and_up(
    cast: Cast, ledger: Ledger, administrator: Visitor
) -> None:
    """With the reason beside the entry; below zero it is a debt."""
    ledger.top_up(1)
    path = path_of(cast, "adjust")
    done = typed(administrator, path, amount="-2.5", reason="invoice 4 was wrong")
    assert done.status == 200
    assert "\N{MINUS SIGN}2.50 credits" in done.text
    assert "In force everywhere" in done.text
    assert ledger.balance() == -1_500_000_000
    assert typed(administrator, path, amount="4", reason="and so was this").status == 200
    assert [(one.amount_nano_credits, one.note) for one in ledger.entries()[:2]] == [
        (4 * CREDIT, "and so was this"),
        (-2_500_000_000, "invoice 4 was wrong"),
    ]


async def test_an_adjustment_counts_once_and_only_as_it_was_sent_first(
    cast: Cast, ledger: Ledger, administrator: Visitor
) -> None:
    """The same form again changes nothing; with another amount it is refused."""
    form = administrator.get(path_of(cast, "adjust"))
    for _ in range(2):
        assert administrator.submit(form, form.path, amount="-1", reason="r").status == 200
    assert ledger.balance() == -CREDIT
    refused = administrator.submit(form, form.path, amount="-2", reason="r")
    assert refused.status == 422
    assert "was sent before, with other values" in refused.text
    assert ledger.balance() == -CREDIT


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"amount": "0", "reason": "r"}, "more or less than zero"),
        ({"amount": "1", "reason": ""}, "Say why"),
        ({"amount": "1", "reason": "r", "reference": ""}, "was not complete"),
        ({"amount": "1", "reason": "sk-optk-" + "A" * 65}, "contains a key’s secret"),
    ],
)
async def test_an_incomplete_adjustment_changes_nothing(
    values: dict[str, str], sentence: str, cast: Cast, ledger: Ledger, administrator: Visitor
) -> None:
    """The form says what is missing."""
    refused = typed(administrator, path_of(cast, "adjust"), **values)
    assert refused.status == 422
    assert sentence in refused.text
    assert ledger.entries() == []


async def test_a_balance_that_no_ledger_holds_is_refused(
    cast: Cast, ledger: Ledger, administrator: Visitor
) -> None:
    """Beside the amount, as any other refusal: it is no outage."""
    for _ in range(46):
        ledger.top_up(100_000_000)
    refused = typed(administrator, path_of(cast, "top_up"), amount="100000000")
    assert refused.status == 422
    assert "beyond what a ledger can hold" in refused.text


@pytest.mark.parametrize("role", list(Role))
async def test_nobody_in_the_workspace_may_change_them(
    role: Role, cast: Cast, ledger: Ledger
) -> None:
    """They see the credits; the forms are not there for them, and the page offers none."""
    ledger.top_up(3)
    browser = await cast.visitor(role)
    page = browser.get(path_of(cast, "credits"))
    assert page.status == 200
    assert "3.00" in page.text
    assert "/administration/" not in page.html
    for form in ("top_up", "adjust"):
        assert browser.get(path_of(cast, form)).status == 404
        assert typed_unseen(browser, path_of(cast, form)) == 404
    assert ledger.balance() == 3 * CREDIT


def typed_unseen(browser: Visitor, path: str) -> int:
    """The status of a form that the browser was not shown."""
    token = dict(browser.get("/account").form("/account").fields)["csrf"]
    values = {"csrf": token, "amount": "5", "purchase_id": "mine", "reason": "mine"}
    return browser.post(path, {**values, "reference": "mine"}).status


async def test_an_administrator_of_the_workspace_finds_the_forms_there(cast: Cast) -> None:
    """And comes back to the credits; the list of workspaces has the form for any other."""
    person = await cast.person(Role.VIEWER, administrator=True)
    browser = await cast.signed_in(person)
    page = browser.get(path_of(cast, "credits"))
    done = typed(browser, page.page.one("div", **{"class": "actions"}).link("Top up"), amount="4")
    back = browser.get(done.page.link("Back to the credits"))
    assert rows(back) == [["Top-up", rows(back)[0][1], "+4.00"]]
    assert path_of(cast, "top_up") in browser.get("/administration").html


async def test_an_administrator_elsewhere_is_not_led_where_they_may_not_go(
    cast: Cast, administrator: Visitor
) -> None:
    """The receipt leads back to the list of workspaces alone."""
    done = typed(administrator, path_of(cast, "top_up"), amount="4")
    assert path_of(cast, "credits") not in done.html
    assert administrator.get(path_of(cast, "credits")).status == 404


async def test_the_activity_says_who_changed_credits(cast: Cast, ledger: Ledger) -> None:
    """With amount, reason and purchase, in words."""
    person = await cast.person(Role.VIEWER, administrator=True)
    browser = await cast.signed_in(person)
    typed(browser, path_of(cast, "top_up"), amount="2.5", purchase_id="invoice-7")
    typed(browser, path_of(cast, "adjust"), amount="-1", reason="Wrong Invoice")
    page = browser.get(path_of(cast, "activity"))
    assert f"{person.email} adjusted credits: -1" in page.text
    assert f"{person.email} topped up credits: 2.5" in page.text
    assert "Note Wrong Invoice" in page.text
    assert "Purchase invoice-7" in page.text
    assert "/credits</" not in page.html
    filtered = browser.get(path_of(cast, "activity", "action=credits_added"))
    assert "topped up credits: 2.5" in filtered.text
    assert "adjusted credits: -1" not in filtered.text


async def test_a_right_that_was_taken_away_changes_nothing(cast: Cast, ledger: Ledger) -> None:
    """Whoever was an administrator when the form was opened, and is none now, adds nothing."""
    person = await cast.person(administrator=True)
    browser = await cast.signed_in(person)
    form = browser.get(path_of(cast, "top_up"))
    await cast.books.accounts.set_administrator(NOBODY, person.id, False)
    assert browser.submit(form, form.path, amount="5").status == 404
    assert ledger.entries() == []
