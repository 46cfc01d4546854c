"""What a workspace spends: plots, each key's part, and how long its credits last."""

from __future__ import annotations

import re
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from console import plots
from console.people import Role
from console.plots import Spent
from console.spending import Spending
from keyauthority.domain.ledger import Use
from tests.console.credits_in_it import CREDIT, Charge, Ledger, charged, path_of, rows, typed
from tests.console.keys_in_it import taken_over
from tests.console.markup import Element
from tests.console.people_in_it import Cast
from tests.console.test_keys_listing import names
from tests.console.test_statements import lines, sums
from tests.console.visiting import Shown, Visitor
from tests.e2e.edge import Edge

MINUS = "\N{MINUS SIGN}"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
NAMES = ("=billing", "crawler", "idle")
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class Spenders:
    """Three keys of the workspace, of which two were charged, and a viewer."""

    def __init__(self, cast: Cast, viewer: Visitor) -> None:
        self.cast, self.viewer = cast, viewer
        keys = taken_over(cast.console.edge, cast.workspace, NAMES)
        self.billing, self.crawler, self.idle = (key.id for key in keys)

    def get(self, page: str, query: str = "") -> Shown:
        return self.viewer.get(path_of(self.cast, page, query))

    def key(self, key_id: str) -> Shown:
        return self.viewer.get(path_of(self.cast, "keys") + f"/{key_id}")


@pytest.fixture
async def spenders(cast: Cast) -> Spenders:
    """Charged for 7 credits: 3.5 in the last week, and 2 more than thirty days ago."""
    spenders = Spenders(cast, await cast.visitor(Role.VIEWER))
    Ledger(cast).top_up(70)
    billing = Use(
        spenders.billing, "gpt-5", "/v1/chat/completions", "req_1", {"input": 1_204, "output": 310}
    )
    crawler = Use(spenders.crawler, "text/embed", counts={"input": 5}, estimated=True)
    await charged(
        cast,
        Charge(2 * CREDIT, billing, 40 * DAY),
        Charge(1_500_000_000, billing, 10 * DAY),
        Charge(3 * CREDIT, billing),
        Charge(500_000_000, crawler),
    )
    return spenders


def section(page: Shown, name: str) -> Element:
    return page.page.one("section", aria_labelledby=name)


def table(page: Shown, name: str) -> list[list[str]]:
    """What stands in the table below the plot."""
    [body] = section(page, name).all("tbody")
    return [[cell.text for cell in row if cell.tag in ("th", "td")] for row in body.all("tr")]


async def test_the_overview_draws_what_was_spent(spenders: Spenders) -> None:
    """By day, key and model: every number is in a table, and every drawing has a name."""
    page = spenders.get("credits")
    assert page.status == 200
    assert (
        "5.00 credits for 3 requests in 30 days. Days are in UTC." in section(page, "by-day").text
    )

    assert [row[1:] for row in table(page, "by-day")] == [["2", "3.50"], ["1", "1.50"]]
    assert table(page, "by-key") == [
        ["=billing", "2", "4.50"],
        ["crawler", "1", "0.50"],
    ]
    assert table(page, "by-model") == [
        ["gpt-5", "2", "4.50"],
        ["text/embed", "1", "0.50"],
    ]

    drawing = section(page, "by-day").one("svg")
    assert (drawing.attributes["role"], drawing.attributes["aria-labelledby"]) == (
        "img",
        "days-title days-text",
    )
    days = drawing.all("g")
    assert len(days) == 30
    assert days[-1].one("title").text.endswith(": 3.50 credits, 2 requests")
    assert days[-2].one("title").text.endswith(": 0.00 credits, 0 requests")
    shares = [one.attributes["aria-label"] for one in section(page, "by-key").all("svg")]
    assert shares == ["90 % of all that was spent", "10 % of all that was spent"]


async def test_it_says_how_long_the_credits_last(spenders: Spenders) -> None:
    """63 credits, at half a credit a day: 126 days."""
    text = spenders.get("credits").text
    day = (datetime.now(UTC) + 126 * DAY).strftime("%b %Y")
    assert re.search(
        rf"At the rate of the last 7 days it lasts until \d+ {day} , in 4 months", text
    )


async def test_a_bar_leads_to_its_entries(spenders: Spenders) -> None:
    """Those of the key, or of the model."""
    page = spenders.get("credits")
    entries = spenders.viewer.get(section(page, "by-key").all("a")[1].attributes["href"])
    assert rows(entries) == [["Request", "crawler", f"{MINUS}0.50"]]
    entries = spenders.viewer.get(section(page, "by-model").all("a")[0].attributes["href"])
    assert [amount for *_, amount in rows(entries)] == [
        f"{MINUS}3.00",
        f"{MINUS}1.50",
        f"{MINUS}2.00",
    ]


async def test_an_entry_says_what_it_was_for(spenders: Spenders) -> None:
    """Key, model, tokens, and whether it was estimated; the rest in its details."""
    page = spenders.get("entries", f"key={spenders.billing}&kind=charge")
    [first, *_] = page.page.one("table").one("tbody").all("tr")
    for text in ("gpt-5 · 1,204 tokens in, 310 out", "Path", "/v1/chat/completions", "req_1"):
        assert text in first.text
    assert first.link("=billing").endswith(f"/keys/{spenders.billing}")
    assert "Estimated" not in page.page.one("table").text
    assert "Estimated" in spenders.get("entries", "model=text/embed").page.one("table").text


async def test_the_list_of_keys_has_what_each_spent(spenders: Spenders, edge: Edge) -> None:
    """In the last thirty days, by one call however many keys there are; it can be sorted by."""
    before = summaries(edge)
    page = spenders.get("keys", "sort=-spent")
    assert summaries(edge) == before + 1
    assert names(page) == list(NAMES)
    spent = [row.one("td", data_label="Spent").text for row in page.page.one("tbody").all("tr")]
    assert spent == ["4.50", "0.50", "nothing"]
    assert names(spenders.get("keys", "sort=spent")) == list(reversed(NAMES))


def summaries(edge: Edge) -> float:
    """How often usage was summed up."""
    with urllib.request.urlopen(f"http://127.0.0.1:{edge.metrics_port}/metrics") as response:
        text = response.read().decode()
    found = re.findall(
        r"^keyauthority_calls_total\{.*SummarizeUsage.*\} (\S+)$", text, re.MULTILINE
    )
    return sum(map(float, found))


async def test_a_key_has_what_it_spent(spenders: Spenders) -> None:
    """With the entries of its requests."""
    page = spenders.key(spenders.crawler)
    entries = spenders.viewer.get(page.page.link("0.50 credits"))
    assert rows(entries) == [["Request", "crawler", f"{MINUS}0.50"]]
    assert "Spent in 30 days Nothing" in spenders.key(spenders.idle).text


async def test_a_statement_has_the_requests_summed_up(spenders: Spenders) -> None:
    """By key, model and day; the file has each, and no key's name is a formula."""
    month = (datetime.now(UTC) - 10 * DAY).strftime("%Y-%m")
    page = spenders.get("statement", f"month={month}")
    csv = lines(spenders.get("statement_csv", f"month={month}"))
    charges = [
        one for one in csv if one["kind"] == "charge" and one["usage"] == "input=1204 output=310"
    ]
    assert {one["key"] for one in charges} == {"'=billing"}
    assert {one["model"] for one in charges} == {"gpt-5"}
    [[_, number, *_]] = [cells for cells in table(page, "by-key") if "=billing" in cells[0]]
    assert number == str(len(charges))
    assert sums(page)["Requests"].startswith(MINUS)


async def test_days_are_those_of_the_reader(spenders: Spenders) -> None:
    """The zone is named, and the authority sums up by it."""
    typed(spenders.viewer, "/account", name="Somebody", time_zone="Asia/Seoul")
    page = spenders.get("credits")
    assert "Days are in Asia/Seoul" in section(page, "by-day").text
    assert sum(int(row[1]) for row in table(page, "by-day")) == 3


async def test_what_was_never_spent_says_what_to_do(cast: Cast) -> None:
    """Credits without a request: how to make one; nothing is foretold."""
    Ledger(cast).top_up(1)
    page = (await cast.visitor(Role.VIEWER)).get(path_of(cast, "credits"))
    assert "Nothing was spent in 30 days" in page.text
    assert "it lasts until" not in page.text
    assert not page.page.all("figure")


@pytest.mark.parametrize(
    ("balance", "week", "lasts"),
    [
        (7, 7, WEEK),
        (1, 7, DAY),
        (1, 2, WEEK / 2),
        (0, 7, None),
        (-1, 7, None),
        (5, 0, None),
        (5, -1, None),
        # More than ten years: a rate foretells nothing.
        (10**17, 1, None),
    ],
)
def test_credits_last_at_the_rate_of_a_week(
    balance: int, week: int, lasts: timedelta | None
) -> None:
    """Nothing is said where nothing was spent, or nothing is left."""
    nothing = plots.by_share({})
    spending = Spending(plots.by_day({NOW.date(): Spent()}, NOW.date()), nothing, nothing, week)
    assert spending.lasts_until(balance, NOW) == (None if lasts is None else NOW + lasts)
