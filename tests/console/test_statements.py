"""The statement of a month adds up, prints, and is a file that spreadsheets read and do not run."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from console import statements
from console.people import Role
from keyauthority.client.admin import Entry, EntryKind, Page
from tests.console.credits_in_it import CREDIT, Ledger, path_of
from tests.console.people_in_it import Cast
from tests.console.visiting import Shown, Visitor

MINUS = "\N{MINUS SIGN}"
NOW = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)


@pytest.fixture
def ledger(cast: Cast) -> Ledger:
    return Ledger(cast)


@pytest.fixture
async def viewer(cast: Cast) -> Visitor:
    return await cast.visitor(Role.VIEWER)


def sums(page: Shown) -> dict[str, str]:
    """What changed the balance, by its name."""
    table = page.page.all("table")[0]
    return {row.one("th").text: row.one("td").text for row in table.all("tr")}


def lines(page: Shown) -> list[dict[str, str]]:
    """The lines of the file."""
    assert page.html.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(page.html.removeprefix("\ufeff"), newline="")))


async def test_a_month_adds_up(cast: Cast, ledger: Ledger, viewer: Visitor) -> None:
    """From the balance at its beginning to the one at its end, by kind and one by one."""
    ledger.top_up(10, "order-1", "by bank")
    ledger.top_up(5, "order-2")
    ledger.adjust(-2_500_000_000)
    page = viewer.get(path_of(cast, "statement"))
    assert page.status == 200
    assert sums(page) == {
        "Balance at the beginning": "0.00",
        "Top-ups": "+15.00",
        "Refunds": "0.00",
        "Adjustments": f"{MINUS}2.50",
        "Expired": "0.00",
        "Requests": "0.00",
        "Balance now": "12.50",
    }
    for text in ("order-1", "“by bank”", "order-2", "“a mistake”", "Days and months are in UTC"):
        assert text in page.text


async def test_a_month_without_entries_has_its_balance(
    cast: Cast, ledger: Ledger, viewer: Visitor
) -> None:
    """The one after the last entry before it; before all of them there was none."""
    ledger.top_up(10)
    later = sums(viewer.get(path_of(cast, "statement", "month=2199-01")))
    assert later["Balance at the beginning"] == "10.00"
    page = viewer.get(path_of(cast, "statement", "month=1999-12"))
    assert sums(page)["Balance at the beginning"] == sums(page)["Balance at the end"] == "0.00"
    assert "Statement of December 1999" in page.text
    assert "Nothing changed the credits" in page.text


async def test_the_file_is_exact(cast: Cast, ledger: Ledger, viewer: Visitor) -> None:
    """Oldest first, amounts as decimals without commas, and it adds up to the balance."""
    ledger.top_up(1_234, "order-1", 'a "quoted", longer note')
    ledger.adjust(-1, "a nano-credit")
    answer = viewer.get(viewer.get(path_of(cast, "statement")).page.link("Download CSV"))
    assert answer.status == 200
    assert answer.header("content-type") == ["text/csv; charset=utf-8"]
    month = datetime.now(UTC).strftime("%Y-%m")
    [disposition] = answer.header("content-disposition")
    assert disposition == f'attachment; filename="credits-{cast.workspace}-{month}.csv"'
    assert answer.header("cache-control") == ["no-store"]
    entries = lines(answer)
    assert [one["amount"] for one in entries] == ["1234", "-0.000000001"]
    assert [one["kind"] for one in entries] == ["grant", "adjustment"]
    assert entries[0]["note"] == 'a "quoted", longer note'
    assert entries[0]["reference"] == "order-1"
    assert entries[0]["time"].endswith("Z")
    total = sum(Decimal(one["amount"]) for one in entries)
    assert total == Decimal(entries[-1]["balance"]) == Decimal(ledger.balance()) / CREDIT


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("x")', "\n=1+1"])
async def test_no_cell_is_a_formula(text: str, cast: Cast, ledger: Ledger, viewer: Visitor) -> None:
    """What somebody typed is text for a spreadsheet too."""
    if "\n" not in text:
        ledger.top_up(1, text)
    ledger.adjust(-1, text)
    for line in lines(viewer.get(path_of(cast, "statement_csv"))):
        assert not any(
            cell.startswith(tuple("=+-@\t\r\n"))
            for name, cell in line.items()
            if name not in ("amount", "balance")
        )
        assert line["note"] in ("", f"'{text}")


class Ledgers:
    """An authority with entries of so many days after `NOW`, each of one nano-credit."""

    def __init__(self, *days: float) -> None:
        self.entries = [
            Entry("ws", n, EntryKind.GRANT, 1, n, str(n), NOW + timedelta(days=day))
            for n, day in enumerate(days, 1)
        ]

    async def ledger(self, call: Any) -> Page[Entry]:
        request = call.request
        # A time that is not set is that of 1970.
        start, end = (one.ToDatetime(UTC) for one in (request.start_time, request.end_time))
        within = [one for one in self.entries if start <= one.time < end]
        return Page(tuple(within[::-1][: request.page_size]), "")


async def test_a_month_begins_as_the_one_before_ended() -> None:
    """Also if what was used in that one was recorded when this one had entries already."""
    authority: Any = Ledgers(-1, 0.5, -0.5, 1, 0, 2, 40)
    months = [statements.month_of(value, UTC, NOW) for value in ("2026-11", "2026-12", "2027-01")]
    read = [await statements.read(authority, "ws", month, UTC) for month in months]

    assert [(one.opening, one.closing) for one in read] == [(0, 3), (3, 6), (6, 7)]


@pytest.mark.parametrize(
    ("value", "zone", "start", "end"),
    [
        ("2026-11", "UTC", "2026-11-01T00:00+00:00", "2026-12-01T00:00+00:00"),
        ("2026-12", "UTC", "2026-12-01T00:00+00:00", "2027-01-01T00:00+00:00"),
        ("2028-02", "UTC", "2028-02-01T00:00+00:00", "2028-03-01T00:00+00:00"),
        # The clocks are put back in this month.
        ("2026-10", "Europe/Berlin", "2026-09-30T22:00+00:00", "2026-10-31T23:00+00:00"),
        ("2026-11", "Asia/Seoul", "2026-10-31T15:00+00:00", "2026-11-30T15:00+00:00"),
    ],
)
def test_a_month_is_that_of_the_zone(value: str, zone: str, start: str, end: str) -> None:
    """From its first midnight to that of the next."""
    month = statements.month_of(value, ZoneInfo(zone), NOW)
    assert month.value == value
    assert (month.start, month.end) == (datetime.fromisoformat(start), datetime.fromisoformat(end))


@pytest.mark.parametrize("value", ["", "2026", "2026-13", "0000-01", "9999-12", "2026-11-01", "x"])
def test_what_is_no_month_is_this_one(value: str) -> None:
    """In the reader's zone: in Seoul the next has begun."""
    assert statements.month_of(value, UTC, NOW).label == "November 2026"
    assert statements.month_of(value, ZoneInfo("Asia/Seoul"), NOW).label == "December 2026"


def test_months_can_be_chosen_backwards() -> None:
    """Over the turn of the year."""
    months = [one.value for one in statements.months_until(NOW, UTC, 13)]
    assert (months[0], months[10], months[11], months[12]) == (
        "2026-11",
        "2026-01",
        "2025-12",
        "2025-11",
    )
