"""Exports of a ledger, and what their check finds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.parts import Cli


@pytest.fixture
def workspace(cli: Cli) -> str:
    """One with three entries, which come to 7.500000001 credits."""
    workspace = cli.workspace()
    for purchase, amount in (("p", "10"), ("q", "0.000000001")):
        cli.text("ledger", "top-up", workspace, "--amount", amount, "--purchase", purchase)
    cli.text("ledger", "adjust", workspace, "--amount", "-2.5", "--reason", "잘못된 청구")
    return workspace


@pytest.fixture
def file(cli: Cli, workspace: str, tmp_path: Path) -> Path:
    """An export of all of it."""
    file = tmp_path / "export.jsonl"
    cli.text("ledger", "export", workspace, "--all", "--output", str(file))
    return file


def test_entries_stand_oldest_first_under_a_seal(cli: Cli, workspace: str) -> None:
    """Amounts are decimals, and the chain is one that anybody can follow."""
    *lines, last = cli.text("ledger", "export", workspace, "--all").splitlines()

    entries, seal = [json.loads(line) for line in lines], json.loads(last)
    assert [(one["number"], one["amount"], one["balance"]) for one in entries] == [
        ("1", "10", "10"),
        ("2", "0.000000001", "10.000000001"),
        ("3", "-2.5", "7.500000001"),
    ]
    assert (entries[0]["kind"], entries[2]["note"]) == ("ENTRY_KIND_GRANT", "잘못된 청구")
    chain = bytes(32)
    sha256 = seal.pop("sha256")
    for line in (*lines, json.dumps(seal, sort_keys=True)):
        chain = hashlib.sha256(chain + line.encode()).digest()
    assert sha256 == chain.hex()
    assert seal == {
        "workspace_id": workspace,
        "start_time": None,
        "end_time": None,
        "count": 3,
        "sum": "7.500000001",
    }


def test_a_month_is_one_of_a_zone(cli: Cli, workspace: str) -> None:
    """What was entered now is in this month, and not in one of long ago."""
    now = json.loads(cli.text("ledger", "export", workspace, "--all").splitlines()[0])["time"]

    this = cli.text("ledger", "export", workspace, "--month", now[:7]).splitlines()
    other = cli.text(
        "ledger", "export", workspace, "--month", "2020-12", "--zone", "Asia/Seoul"
    ).splitlines()

    assert len(this) == 4
    seal = json.loads(other[0])
    del seal["sha256"]
    assert seal == {
        "workspace_id": workspace,
        "start_time": "2020-11-30T15:00:00+00:00",
        "end_time": "2020-12-31T15:00:00+00:00",
        "count": 0,
        "sum": "0",
    }


def test_a_file_agrees_with_itself_and_with_the_ledger(
    cli: Cli, workspace: str, file: Path
) -> None:
    """What was entered since is told, and nothing wrong; nor without an authority."""
    check = ("ledger", "export", "--check", str(file))
    agrees = ": 3 entries, 7.500000001 credits.\n"
    assert cli.text(*check) == "It agrees with itself and with the ledger" + agrees
    assert file.stat().st_mode & 0o777 == 0o600

    cli.text("ledger", "top-up", workspace, "--amount", "1", "--purchase", "r")
    later = cli(*check)
    alone = Cli("127.0.0.1:1", cli.data_dir)(*check)

    assert later.stdout == "It agrees with itself and with the ledger" + agrees
    assert later.stderr == "The ledger has 1 entry of that time that are newer.\n"
    assert (alone.exit_code, alone.stdout) == (0, "It agrees with itself" + agrees)
    assert alone.stderr.startswith("It was not compared with the ledger: connection refused")


def change(line: str, **values: Any) -> str:
    return json.dumps(json.loads(line) | values, sort_keys=True)


def sealed(lines: list[str], **says: Any) -> list[str]:
    """The lines with a seal that fits them: whoever can write a file can do that."""
    chain, total = bytes(32), 0
    for line in lines[:-1]:
        chain = hashlib.sha256(chain + line.encode()).digest()
        total += round(float(json.loads(line)["amount"]) * 10**9)
    amount = f"{total / 10**9:.9f}".rstrip("0").rstrip(".")
    last = json.loads(lines[-1]) | {"count": len(lines) - 1, "sum": amount, **says}
    del last["sha256"]
    chain = hashlib.sha256(chain + json.dumps(last, sort_keys=True).encode()).digest()
    return [*lines[:-1], json.dumps(last | {"sha256": chain.hex()})]


CHANGES: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "a line": (lambda lines: [change(lines[0], note="x"), *lines[1:]], "sha256"),
    "an amount": (lambda lines: [change(lines[0], amount="11"), *lines[1:]], "does not follow"),
    "a line less": (lambda lines: [lines[0], *lines[2:]], "has the count 3, and the others 2"),
    "the order": (lambda lines: [lines[1], lines[0], *lines[2:]], "entry 1 stands after entry 2"),
    "the sum": (lambda lines: [*lines[:-1], change(lines[-1], sum="7.5")], "has the sum 7.5"),
    "the workspace": (lambda lines: [*lines[:-1], change(lines[-1], workspace_id="ws")], "sha256"),
    "the time": (
        lambda lines: [*lines[:-1], change(lines[-1], end_time="2040-01-01T00:00:00+00:00")],
        "sha256",
    ),
    "a line of another workspace, and the seal": (
        lambda lines: sealed([change(lines[0], workspace_id="ws_other"), *lines[1:]]),
        "there are entries of ws_other",
    ),
    "the time, and the seal": (
        lambda lines: sealed(lines, end_time="2020-01-01T00:00:00+00:00"),
        "entries of another time",
    ),
    "a line, and the seal": (
        lambda lines: sealed([change(lines[0], note="x"), *lines[1:]]),
        "entry 1 differs from that of the ledger",
    ),
    "a line less, and the seal": (
        lambda lines: sealed([lines[0], *lines[2:]]),
        "entry 2 is missing",
    ),
    "a line more, and the seal": (
        lambda lines: sealed(
            [*lines[:3], change(lines[2], number="4", balance="5.000000001"), lines[3]]
        ),
        "the ledger has no entry 4 of that time",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_found(cli: Cli, file: Path, what: str) -> None:
    """Whatever was changed; even with a new seal, as long as there is a ledger."""
    make, why = CHANGES[what]
    file.write_text("".join(f"{line}\n" for line in make(file.read_text().splitlines())))

    found = cli("ledger", "export", "--check", str(file))

    assert found.exit_code == 1
    assert found.stdout.startswith("It is wrong:\n")
    assert why in found.stdout
    assert cli.json("ledger", "export", "--check", str(file), exit_code=1)["faults"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no last line"),
        ("{}\n", "no last line"),
        ("x\n{}\n", "line 1: "),
        ("[]\n{}\n", "line 1: "),
    ],
)
def test_what_is_no_export(cli: Cli, tmp_path: Path, text: str, why: str) -> None:
    """A file that was cut off is none."""
    file = tmp_path / "x"
    file.write_text(text)
    assert why in cli.refusal("ledger", "export", "--check", str(file))


def test_an_export_that_is_cut_off(cli: Cli, file: Path) -> None:
    file.write_text("\n".join(file.read_text().splitlines()[:-1]))
    assert "cut off" in cli.refusal("ledger", "export", "--check", str(file))


def test_what_to_export_is_named(cli: Cli) -> None:
    for arguments in ((), ("ws_1",), ("ws_1", "--all", "--month", "2026-11"), ("--all",)):
        result = cli("ledger", "export", *arguments)
        assert (result.exit_code, "--month or --all" in result.stderr) == (2, True)
    assert cli("ledger", "export", "ws_1", "--month", "2026-13").exit_code == 2
    assert cli.refusal("ledger", "export", "ws_1", "--all") == "no such workspace: ws_1"


def test_what_was_not_compared_is_no_agreement(
    cli: Cli, workspace: str, file: Path, tmp_path: Path
) -> None:
    """Unless nobody answers: whoever is refused, or asks for what is not there, has learnt nothing."""
    check = ("ledger", "export", "--check", str(file))
    token = tmp_path / "token"
    cli.text("callers", "create", "reader", "--role", "verifier", "--token-file", str(token))
    assert "lacks the role biller" in cli.refusal("--token-file", str(token), *check)
    assert "no token" in Cli(cli.address, tmp_path / "nothing").refusal(*check)

    lines = file.read_text().replace(workspace, "ws_none").splitlines()
    file.write_text("".join(f"{line}\n" for line in sealed(lines)))
    assert cli.refusal(*check) == "no such workspace: ws_none"


def test_an_export_has_balances_beyond_any_amount(cli: Cli, workspace: str, tmp_path: Path) -> None:
    """A balance, and a sum of entries, may be larger than one entry."""
    for purchase in ("a", "b"):
        amount = ("--amount", "100000000", "--purchase", purchase)
        cli.text("ledger", "top-up", workspace, *amount)
    file = tmp_path / "large"
    cli.text("ledger", "export", workspace, "--all", "--output", str(file))

    agrees = "It agrees with itself and with the ledger: 5 entries, 200000007.500000001 credits.\n"
    assert cli.text("ledger", "export", "--check", str(file)) == agrees
