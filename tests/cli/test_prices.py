"""Prices from the command line. All of these tests share one table: each names models of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.parts import Cli

LATER = f"{datetime.now(UTC).year + 2}-01-01T00:00:00Z"


def rows_of(cli: Cli, model: str) -> list[list[str]]:
    lines = cli.text("prices", "list", "--all").splitlines()
    return [cells for cells in map(str.split, lines[1:]) if cells[1] == model]


def test_a_price_is_set_and_listed(cli: Cli) -> None:
    """Rates are decimal credits: exact, for people; whole nano-credits for programs."""
    set_one = ("prices", "set", "--model", "gpt-5*", "--at", LATER)
    rates = ("--input", "2.5", "--output", "10", "--cached-input", "0.000000001")

    printed = cli.text(*set_one, *rates)
    document = cli.json(*set_one, *rates)

    assert printed.startswith("Set 1 price. In force everywhere as of revision ")
    [price] = document["prices"]
    assert document["added"] == 0
    assert (price["path"], price["rates"]) == (
        "*",
        {"input": "2500000000", "cached_input": "1", "output": "10000000000"},
    )
    assert rows_of(cli, "gpt-5*") == [
        [
            price["id"],
            "gpt-5*",
            "*",
            LATER,
            *("input=2.5", "cached_input=0.000000001", "output=10"),
        ]
    ]


def test_a_repeat_says_so(cli: Cli) -> None:
    """Without a time, too. Other rates are a new row."""
    set_one = ("prices", "set", "--model", "repeated", "--path", "/v1/images/*", "--image")

    assert cli.text(*set_one, "0.04").startswith("Set 1 price. ")
    assert cli.text(*set_one, "0.04").startswith("Set 0 prices; 1 was there already. ")
    assert cli.text(*set_one, "0.05").startswith("Set 1 price. ")
    assert len(rows_of(cli, "repeated")) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--model", "m"), "names at least one rate"),
        (("--model", "m", "--input", "1"), "both input and output"),
        (("--model", "m", "--request", "ten"), "no decimal number"),
        (("--request", "1"), "--model"),
    ],
)
def test_what_is_no_price_is_an_error_of_usage(
    cli: Cli, arguments: tuple[str, ...], why: str
) -> None:
    """Before anything is called."""
    result = cli("prices", "set", *arguments)
    assert (result.exit_code, why in result.stderr) == (2, True), result.output


def test_a_price_of_the_past_is_refused(cli: Cli) -> None:
    refused = cli.refusal("prices", "set", "--model", "m", "--at", "2020-01-01T00:00:00Z",
                          "--request", "1")  # fmt: skip
    assert refused == "--at is in the past"


CSV = (
    "model, path, at, input, output, request\r\n"
    f"csv-1, /v1/*, {LATER}, 2.5, 10,\r\n"
    "csv-2, , , , , 0.1\r\n"
)
ROWS = [
    {"model": "csv-1", "path": "/v1/*", "at": LATER, "input": 2.5, "output": 10},
    {"model": "csv-2", "path": None, "request": "0.1"},
]


def test_an_import_may_be_repeated(cli: Cli, tmp_path: Path) -> None:
    """From CSV or JSON, with a byte order mark or not: the same rows, which are set once."""
    csv, document = tmp_path / "prices.csv", tmp_path / "prices.JSON"
    csv.write_text("\ufeff" + CSV, newline="")
    document.write_text(json.dumps(ROWS))

    assert cli.text("prices", "import", str(csv)).startswith("Set 2 prices. ")
    for file in (csv, document):
        printed = cli.text("prices", "import", str(file))
        assert printed.startswith("Set 0 prices; 2 were there already. ")
    assert rows_of(cli, "csv-1")[0][2:] == [
        "/v1/*",
        LATER,
        "input=2.5",
        "output=10",
    ]
    assert len(rows_of(cli, "csv-2")) == 1


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("x.csv", CSV + "csv-3,,,,1e3\r\n", "line 4 has not as many cells as the header"),
        ("x.csv", CSV + "csv-3,,,,1e3,\r\n", "row 3: output: '1e3' is no decimal number"),
        ("x.csv", CSV + ",,,,,1\r\n", "row 3: it names no model"),
        ("x.csv", CSV + "csv-3,,soon,,,1\r\n", "row 3: at must be a time"),
        ("x.csv", "model,price\r\na,1\r\n", "row 1: no column is called 'price': there are model"),
        ("x.csv", CSV + "csv-3,,2020-01-01T00:00:00Z,,,1\r\n", "effective_time is in the past"),
        ("x.csv", "", "prices has 0 entries, not 1 to 500"),
        ("x.json", "{}", "it is no JSON array of objects"),
        ("x.json", '[{"model": "a", "request": true}]', "row 1 has a value that is neither"),
        ("x.json", '[{"model": "a", "request": NaN}]', "row 1 has a value that is neither"),
        ("x.json", "[", "Expecting value"),
    ],
)
def test_a_file_that_is_wrong_sets_nothing(
    cli: Cli, tmp_path: Path, name: str, text: str, why: str
) -> None:
    """The sentence names the row."""
    (tmp_path / name).write_text(text.replace("csv-1", "wrong"), newline="")

    assert why in cli.refusal("prices", "import", str(tmp_path / name))

    assert rows_of(cli, "wrong") == []
    assert "cannot read" in cli.refusal("prices", "import", str(tmp_path / "nothing.csv"))


def test_a_row_that_the_authority_refuses_is_named(cli: Cli, tmp_path: Path) -> None:
    """By the file's own count."""
    cli.text("prices", "set", "--model", "taken", "--at", LATER, "--request", "1")
    file = tmp_path / "x.csv"
    file.write_text(f"model,at,request\nfree,,1\ntaken,{LATER},2\n")

    refused = cli.refusal("prices", "import", str(file))

    assert refused.startswith(f"{file}, row 2: ")
    assert refused.endswith("a row with other rates; no price was set")
    assert rows_of(cli, "free") == []
