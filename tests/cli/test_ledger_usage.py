"""What a workspace used, from the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import pytest

from keyauthority.base.process.clocks import SystemClock
from keyauthority.domain.callers import authority
from keyauthority.domain.credits.entering import read_sheet, write_sheet
from keyauthority.domain.ledger import Kind, Use
from keyauthority.storage.sqlite import open_sqlite
from tests.cli.parts import Cli, serving
from tests.transactions import changing

BY = authority("a test").signature


async def charge(database: Path, workspaces: Sequence[str]) -> None:
    """Two charges each, of two keys and models."""
    async with open_sqlite(database, SystemClock()) as store, changing(store) as tx:
        for workspace_id in workspaces:
            sheet = await read_sheet(tx, workspace_id)
            first = Use("key_1", "gpt-5", counts={"input": 3, "output": 5})
            sheet.reduce(Kind.CHARGE, 1_500_000_000, "c1", BY, use=first)
            sheet.reduce(Kind.CHARGE, 1, "c2", BY, use=Use("key_2", "gpt-4", estimated=True))
            await write_sheet(tx, sheet)


@pytest.fixture(scope="module")
def all_charged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, list[str]]]:
    """An authority, and workspaces of it that were charged, one for each test."""
    data = tmp_path_factory.mktemp("charged") / "data"
    with serving(data) as cli:
        workspaces = [cli.workspace() for _ in range(4)]
        for workspace in workspaces:
            cli.text("ledger", "top-up", workspace, "--amount", "10", "--purchase", "p")
    asyncio.run(charge(data / "keyauthority.db", workspaces))
    with serving(data) as cli:
        yield cli, workspaces


@pytest.fixture
def charged(all_charged: tuple[Cli, list[str]]) -> tuple[Cli, str]:
    """An authority, and a workspace of the test's own that was charged."""
    cli, workspaces = all_charged
    return cli, workspaces.pop()


def test_usage_by_day_key_and_model(charged: tuple[Cli, str]) -> None:
    """In a table or as a document; less what was refunded."""
    cli, workspace = charged
    cli.text("ledger", "refund", workspace, "--subject", "c1", "--amount", "0.5")
    usage = ("ledger", "usage", workspace)

    by_key = cli.text(*usage, "--by", "key,model").splitlines()
    total = cli.text(*usage, "--by", "").splitlines()
    by_day = cli.json(*usage, "--zone", "Asia/Seoul")["sums"]

    assert [line.split() for line in by_key] == [
        ["KEY", "MODEL", "CREDITS", "CHARGES", "ESTIMATED", "USED"],
        ["key_1", "gpt-5", "1", "1", "0", "input=3", "output=5"],
        ["key_2", "gpt-4", "0.000000001", "1", "1"],
    ]
    assert total[1].split() == ["1.000000001", "2", "1", "input=3", "output=5"]
    assert sum(int(one["cost_nano_credits"]) for one in by_day) == 1_000_000_001
    assert date.fromisoformat(by_day[0]["day"]).isoformat() == by_day[0]["day"]
    nothing = cli(*usage, "--until", "2020-01-01T00:00:00Z")
    assert (nothing.stdout, nothing.stderr) == ("", "There are no charges.\n")


def test_a_question_that_makes_no_sense(cli: Cli) -> None:
    for option, value in (("--by", "day,hour"), ("--by", "day,day"), ("--zone", "Seoul")):
        assert cli("ledger", "usage", "ws_1", option, value).exit_code == 2
    assert "400 days" in cli.refusal(
        "ledger", "usage", cli.workspace(), "--since", "2020-01-01T00:00:00Z"
    )


def test_a_bill_is_reconciled(charged: tuple[Cli, str], tmp_path: Path) -> None:
    """By day and model: what only one side has is there, too; costs of one place are added up."""
    cli, workspace = charged
    [day] = {one["day"] for one in cli.json("ledger", "usage", workspace)["sums"]}
    bill = tmp_path / "bill.csv"
    bill.write_text(
        f"project,date,model,cost\nx,{day},gpt-5,1\nx,{day}, gpt-5 ,0.8\nx,{day},o9,0.2\n"
    )
    reconcile = ("ledger", "reconcile", str(bill), "--workspace")

    lines = cli.text(*reconcile, workspace, "--workspace", workspace).splitlines()

    assert [line.split() for line in lines] == [
        ["DAY", "MODEL", "BILLED", "CHARGED", "CAPTURED"],
        [day, "gpt-4", "0", "0.000000001"],
        [day, "gpt-5", "1.8", "1.5", "83.3%"],
        [day, "o9", "0.2", "0", "0.0%"],
        ["total", "2", "1.500000001", "75.0%"],
    ]
    assert cli.json(*reconcile, workspace)["rows"][1]["captured"] == "83.3%"
    assert cli.refusal(*reconcile, "ws_1") == "no such workspace: ws_1"


def test_a_bill_is_rounded_once(charged: tuple[Cli, str], tmp_path: Path) -> None:
    """Its rows may be finer than a nano-credit: by day and model, they add up first."""
    cli, workspace = charged
    bill = tmp_path / "bill.csv"
    costs = ["2.5e-10"] * 3 + ["0.00000000025000000000000000000000000001", "1E-999999", "-0"]
    bill.write_text("date,model,cost\n" + "".join(f"2026-01-01,o9,{one}\n" for one in costs))

    rows = cli.json("ledger", "reconcile", str(bill), "--workspace", workspace)["rows"]

    assert (rows[0]["model"], rows[0]["billed"]) == ("o9", "0.000000001")


def test_a_refund_was_captured_all_the_same(charged: tuple[Cli, str], tmp_path: Path) -> None:
    """What was given back says nothing of how well an upstream's costs are charged."""
    cli, workspace = charged
    cli.text("ledger", "refund", workspace, "--subject", "c1", "--amount", "0.5")
    [day] = {one["day"] for one in cli.json("ledger", "usage", workspace)["sums"]}
    bill = tmp_path / "bill.csv"
    bill.write_text(f"date,model,cost\n{day},gpt-5,1.5\n")

    rows = cli.json("ledger", "reconcile", str(bill), "--workspace", workspace)["rows"]

    gpt5 = [one for one in rows if one["model"] == "gpt-5"]
    assert [(one["charged"], one["captured"]) for one in gpt5] == [("1.5", "100.0%")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("date,model\n2026-11-27,a\n", "lacks a header with date, model and cost"),
        ("date,model,cost\n", "has no rows"),
        ("date,model,cost\n27.11.2026,a,1\n", "line 2: Invalid isoformat"),
        ("date,model,cost\n2026-11-27,a,1e3x\n", "line 2: '1e3x' is no number of credits"),
        ("date,model,cost\n2026-11-27,a\n", "line 2: '' is no number of credits"),
        ("date,model,cost\n2026-11-27,a,1e9\n", "line 2: '1e9' is no number of credits up to"),
        ("date,model,cost\n2026-11-27,a,1e999999\n", "is no number of credits up to"),
        ("date,model,cost\n2026-11-27,a,nan\n", "line 2: 'nan' is no number of credits"),
    ],
)
def test_what_is_no_bill(cli: Cli, tmp_path: Path, text: str, why: str) -> None:
    bill = tmp_path / "bill.csv"
    bill.write_text(text)
    assert why in cli.refusal("ledger", "reconcile", str(bill), "--workspace", "ws_1")
