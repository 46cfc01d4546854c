"""Mending what a wrong price took."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from keyauthority.base.process.clocks import SystemClock
from keyauthority.domain.callers import authority
from keyauthority.domain.credits.entering import read_sheet, write_sheet
from keyauthority.domain.ledger import Kind, Use
from keyauthority.storage.sqlite import open_sqlite
from tests.cli.parts import Cli, serving
from tests.transactions import changing

BY = authority("a test").signature


class Shop:
    """A workspace with 10 credits, and two prices: 2 credits for a million tokens, and half of it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        with serving(data) as cli:
            self.workspace = cli.workspace()
            cli.text("ledger", "top-up", self.workspace, "--amount", "10", "--purchase", "p")
            self.wrong = self.price(cli, "2")
            self.right = self.price(cli, "1")

    def price(self, cli: Cli, rate: str) -> str:
        rates = ("--input", rate, "--output", rate)
        [row] = cli.json("prices", "set", "--model", "gpt-5", *rates)["prices"]
        price_id: str = row["id"]
        return price_id

    def charge(self, reference: str, cost: int, counts: Mapping[str, int], **use: Any) -> None:
        """A charge by the wrong price, unless *use* says otherwise."""

        async def enter() -> None:
            async with (
                open_sqlite(self.data / "keyauthority.db", SystemClock()) as store,
                changing(store) as tx,
            ):
                sheet = await read_sheet(tx, self.workspace)
                of = Use("key_1", "gpt-5", counts=counts, **{"price_id": self.wrong, **use})
                sheet.reduce(Kind.CHARGE, cost, reference, BY, use=of)
                await write_sheet(tx, sheet)

        asyncio.run(enter())

    def reprice(self, *options: str) -> tuple[str, ...]:
        return "ledger", "reprice", self.workspace, "--wrong", self.wrong, *options


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "data")


def test_charges_by_a_wrong_price_are_adjusted(shop: Shop) -> None:
    """By their counts, once; charges that come later are adjusted by the next run."""
    million = {"input": 500_000, "output": 500_000}
    shop.charge("a", 2_000_000_000, million)
    shop.charge("b", 2_000_000, {"input": 1_000})
    shop.charge("by another", 1_000_000_000, million, price_id="price_x")
    shop.charge("estimated", 7, {"input": 1}, estimated=True)
    shop.charge("not told", 7, {}, estimated=True)
    shop.charge("refunded", 2_000_000_000, million)

    with serving(shop.data) as cli:
        cli.text("ledger", "refund", shop.workspace, "--subject", "refunded")
        reprice = shop.reprice("--right", shop.right)
        costs = "2 charges cost 2.002 credits, and 1.001 by the right price."
        before = cli.json("ledger", "balance", shop.workspace)

        dry = cli(*reprice)
        assert dry.stdout == f"{costs} --apply adjusts by 1.001.\n"
        assert dry.stderr == "3 charges estimated or refunded: left.\n"
        assert cli.json("ledger", "balance", shop.workspace) == before

        done = cli.json(*reprice, "--apply")
        assert (done["adjustment"], done["applied"]) == ("1.001", True)
        [entry] = cli.json("ledger", "entries", "--workspace", shop.workspace, "--limit", "1")[
            "entries"
        ]
        assert entry["reference"] == done["reference"] == f"reprice-{shop.wrong}-2"
        assert entry["amount_nano_credits"] == "1001000000"
        for again in (reprice, (*reprice, "--apply")):
            assert cli.text(*again) == "There are no charges to reprice.\n"
        assert "adds up" in cli.text("ledger", "verify", shop.workspace)

    shop.charge("late", 2_000_000, {"output": 1_000})
    with serving(shop.data) as cli:
        later = cli.text(*reprice, "--apply")
        assert later.startswith("1 charge cost 0.002 credits, and 0.001 by the right price.")
        third = shop.price(cli, "3")
        refused = cli.refusal(*shop.reprice("--right", third))
        assert "adjusted charges of that price to another" in refused


def test_a_price_that_was_too_low(shop: Shop) -> None:
    """What is missing is taken."""
    shop.charge("a", 1_000_000, {"input": 1_000}, price_id=shop.right)
    with serving(shop.data) as cli:
        reprice = ("ledger", "reprice", shop.workspace, "--wrong", shop.right)
        text = cli.text(*reprice, "--right", shop.wrong, "--apply")
        assert "Adjusted by -0.001 credits" in text
        assert cli.json("ledger", "balance", shop.workspace)["balance"][
            "balance_nano_credits"
        ] == str(10 * 10**9 - 2_000_000)


def test_prices_are_named(shop: Shop) -> None:
    with serving(shop.data) as cli:
        assert cli.refusal(*shop.reprice("--right", "price_x")) == "no such price: price_x"
        assert cli(*shop.reprice("--right", shop.wrong)).exit_code == 2
