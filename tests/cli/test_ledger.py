"""Credits from the command line."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.parts import Cli


def test_a_top_up_and_the_balance(cli: Cli) -> None:
    """Amounts are decimal credits for people, nano-credits for programs."""
    workspace = cli.workspace()

    printed = cli.text("ledger", "top-up", workspace, "--amount", "10.5", "--purchase", "p 1")
    document = cli.json("ledger", "balance", workspace)

    assert printed.startswith("Added 10.5 credits as p 1. The balance is 10.5. In force everywhere")
    assert document == {
        "balance": {
            "balance_nano_credits": "10500000000",
            "escrowed_nano_credits": "0",
            "available_nano_credits": "10500000000",
        }
    }
    assert cli.text("ledger", "balance", workspace).splitlines() == [
        "balance:    10.5",
        "escrowed:   0",
        "available:  10.5",
    ]


def test_terms_of_a_top_up(cli: Cli) -> None:
    """They are part of the purchase: with others it is refused."""
    workspace = cli.workspace()
    top_up = ("ledger", "top-up", workspace, "--amount", "1", "--purchase", "p")
    cli.json(*top_up, "--promotional", "--priority", "3", "--note", "welcome")

    assert "says something else" in cli.refusal(*top_up)
    entry = cli.json("ledger", "entries", "--workspace", workspace)["entries"][0]
    assert (entry["kind"], entry["note"]) == ("ENTRY_KIND_GRANT", "welcome")


def test_credits_that_expire(cli: Cli) -> None:
    """The end is counted from the first call: a repeat is safe. Or it is named."""
    workspace = cli.workspace()
    top_up = ("ledger", "top-up", workspace, "--amount", "1", "--purchase")

    first = cli.json(*top_up, "p", "--expires-in", "365d")
    again = cli.json(*top_up, "p", "--expires-in", "365d")
    named = [cli.json(*top_up, "q", "--expires-at", "2030-01-31T12:00:00Z") for _ in "ab"]

    assert first["balance"]["available_nano_credits"] == "1000000000"
    assert again["entry"] == first["entry"]
    assert named[0]["entry"] == named[1]["entry"]
    both = cli(*top_up, "r", "--expires-in", "1d", "--expires-at", "2030-01-31T12:00:00Z")
    assert (both.exit_code, "exclude each other" in both.stderr) == (2, True)


def test_a_refund_of_nothing_is_refused(cli: Cli) -> None:
    """It is not one of everything."""
    workspace = cli.workspace()
    cli.text("ledger", "top-up", workspace, "--amount", "10", "--purchase", "p")

    refused = cli.refusal("ledger", "refund", workspace, "--subject", "p", "--amount", "0")

    assert refused.startswith("--amount is not from 1")
    assert cli.json("ledger", "balance", workspace)["balance"]["balance_nano_credits"] == str(
        10**10
    )


def test_adjust_and_refund(cli: Cli) -> None:
    """Each says what it entered, and what is there now."""
    workspace = cli.workspace()
    cli.text("ledger", "top-up", workspace, "--amount", "10", "--purchase", "p")

    adjusted = cli.text(
        "ledger", "adjust", workspace, "--amount", "-2.5", "--reason", "a mistake",
        "--reference", "fix",
    )  # fmt: skip
    refunded = cli.text("ledger", "refund", workspace, "--subject", "p", "--amount", "4")

    assert adjusted.startswith("Adjusted by -2.5 credits as fix. The balance is 7.5. In force")
    assert refunded.startswith("Refunded -4 credits as refund-")
    assert "The balance is 3.5." in refunded
    assert "6 credits are left to return" in cli.refusal(
        "ledger", "refund", workspace, "--subject", "p", "--amount", "7"
    )


def test_a_lost_answer_can_be_repeated(cli: Cli) -> None:
    """The error names the reference that the call had; a refusal needs none."""
    nowhere = Cli("127.0.0.1:1", cli.data_dir)
    adjust = ("ledger", "adjust", "ws_1", "--amount", "1", "--reason", "r")
    refund = ("ledger", "refund", "ws_1", "--subject", "p")

    assert re.search(r"repeat it with --reference adjustment-\w{32}$", nowhere.refusal(*adjust))
    assert re.search(r"repeat it with --reference refund-\w{32}$", nowhere.refusal(*refund))
    fixed = nowhere.refusal(*adjust, "--reference", "fix 1")
    assert fixed.endswith("repeat it with --reference 'fix 1'")
    assert cli.refusal(*adjust) == "no such workspace: ws_1"


def test_entries_are_listed_and_filtered(cli: Cli) -> None:
    """The newest first, in a table or as a document."""
    workspace = cli.workspace()
    cli.text("ledger", "top-up", workspace, "--amount", "10", "--purchase", "p")
    reason = ("--reason", "a mistake", "--reference", "fix")
    cli.text("ledger", "adjust", workspace, "--amount", "-1", *reason)

    lines = cli.text("ledger", "entries", "--workspace", workspace).splitlines()
    grants = cli.json("ledger", "entries", "--workspace", workspace, "--kind", "grant")

    assert [line.split()[0] for line in lines] == ["NUMBER", "2", "1"]
    assert lines[1].endswith("adjustment  -1      9        fix        a mistake")
    assert [entry["reference"] for entry in grants["entries"]] == ["p"]


def test_the_ledger_is_proved(cli: Cli) -> None:
    """It adds up; an empty one does too."""
    workspace = cli.workspace()
    assert cli.text("ledger", "verify", workspace) == "It adds up: 0 entries, 0 credits.\n"
    cli.text("ledger", "top-up", workspace, "--amount", "2.25", "--purchase", "p")

    assert cli.text("ledger", "verify", workspace) == "It adds up: 1 entry, 2.25 credits.\n"
    assert cli.json("ledger", "verify", workspace)["faults"] == []


def test_what_is_no_amount_is_an_error_of_usage(cli: Cli) -> None:
    """Before anything is called."""
    for amount, why in (("ten", "no decimal number"), ("0.0000000001", "finer")):
        result = cli("ledger", "top-up", "ws_1", "--amount", amount, "--purchase", "p")
        assert result.exit_code == 2
        assert why in result.stderr


def test_an_unknown_workspace_is_named(cli: Cli) -> None:
    """The sentence says which id it was."""
    assert cli.refusal("ledger", "balance", "ws_1") == "no such workspace: ws_1"


def test_a_root_from_before_credits_makes_one_that_has_every_role(cli: Cli, tmp_path: Path) -> None:
    """As the documentation says: a caller's roles never change, and an admin may give any role."""
    workspace = cli.workspace()
    files = [tmp_path / name for name in ("root.token", "new.token")]
    roles = ("--role", "verifier", "--role", "issuer", "--role", "admin")
    cli.text("callers", "create", "old root", *roles, "--token-file", str(files[0]))
    top_up = ("ledger", "top-up", workspace, "--amount", "1", "--purchase", "p")
    as_root = ("--token-file", str(files[0]))
    assert "lacks the role biller" in cli.refusal(*as_root, *top_up)

    create = ("callers", "create", "operator", *roles, "--role", "biller")
    cli.text(*as_root, *create, "--token-file", str(files[1]))
    files[1].replace(files[0])

    assert cli.text(*as_root, *top_up).startswith("Added 1 credits")
    assert cli.text(*as_root, "ledger", "verify", workspace).startswith("It adds up")
