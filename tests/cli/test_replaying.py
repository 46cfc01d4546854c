"""A backup is put back, and exports of the ledgers are replayed."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keyauthority.cli.ledger_lines import Seal
from tests.cli.parts import Cli, serving


class Restored:
    """A data directory with a backup of it, and what was exported after the backup.

    `workspace` had 10 credits in the backup; `young` was created after it.
    """

    def __init__(self, folder: Path) -> None:
        self.data, self._backup = folder / "data", folder / "backup"
        self.data.mkdir()
        self.db = Cli("unix:/nowhere", self.data)
        self.audit, self.ledger, self.other = (folder / name for name in ("audit", "one", "two"))
        self.db.text("db", "lease", "200ms")
        with serving(self.data) as cli:
            self.workspace = cli.workspace()
            self.key, _ = cli.issue("--workspace", self.workspace)
            top_up(cli, self.workspace, "before", "10")
        shutil.copytree(self.data, self._backup)
        with serving(self.data) as cli:
            top_up(cli, self.workspace, "after", "5", "--expires-in", "30d", "--priority", "3")
            record(cli, self.workspace, self.key, "c1", "0.000000007")
            record(cli, self.workspace, self.key, "c2", "6")
            adjust = ("--amount", "-2.5", "--reason", "잘못된 청구", "--reference", "a")
            cli.text("ledger", "adjust", self.workspace, *adjust)
            cli.text("ledger", "refund", self.workspace, "--subject", "c2", "--amount", "1.5")
            self.young = cli.workspace("young")
            top_up(cli, self.young, "young", "3", "--promotional")
            self.export(cli)
            self.listed = {one: entries(cli, one) for one in (self.workspace, self.young)}
        self._exported = {file: file.read_bytes() for file in (self.audit, self.ledger, self.other)}

    def export(self, cli: Cli) -> None:
        cli.text("audit", "export", "--output", str(self.audit))
        for workspace, file in ((self.workspace, self.ledger), (self.young, self.other)):
            cli.text("ledger", "export", workspace, "--all", "--output", str(file))

    def put_back(self) -> None:
        """The backup is in its place, and the exports are as they were written."""
        for file, content in self._exported.items():
            file.write_bytes(content)
        for file in self.data.glob("keyauthority.db*"):
            file.unlink()
        shutil.copy(self._backup / "keyauthority.db", self.data)

    def replay(self, *files: Path) -> Any:
        """What the command says of it."""
        return self.db.json("db", "restore-epoch", *options(files))

    def refusal(self, *files: Path) -> str:
        """The sentence that it refuses with; the books stay as they were."""
        before = self._state()
        sentence = self.db.refusal("db", "restore-epoch", *options(files))
        assert self._state() == before
        return sentence

    def _state(self) -> list[Any]:
        with closing(sqlite3.connect(self.data / "keyauthority.db")) as books:
            tables = ("head", "credit_entries", "credit_accounts", "credit_grants", "workspaces")
            return [books.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def options(files: tuple[Path, ...]) -> list[str]:
    return [word for file in files for word in ("--replay", str(file))]


def top_up(cli: Cli, workspace: str, purchase: str, amount: str, *terms: str) -> None:
    cli.text("ledger", "top-up", workspace, "--amount", amount, "--purchase", purchase, *terms)


def record(cli: Cli, workspace: str, key: str, reference: str, cost: str) -> str:
    charge = {"reference": reference, "workspace_id": workspace, "key_id": key, "cost": cost}
    return cli.text("ledger", "record", "-", stdin=json.dumps(charge))


def entries(cli: Cli, workspace: str) -> list[Any]:
    listed: list[Any] = cli.json("ledger", "entries", "--workspace", workspace, "--all")["entries"]
    return listed


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Restored:
    """The same for all of these tests: each begins with the backup."""
    return Restored(tmp_path_factory.mktemp("lost"))


@pytest.fixture
def restored(lost: Restored, monkeypatch: pytest.MonkeyPatch) -> Restored:
    lost.put_back()

    async def sleep(_seconds: float) -> None:
        """Nobody really waits for leases."""

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return lost


def test_what_the_backup_lost_is_entered_again(restored: Restored) -> None:
    """Entry by entry, of a workspace that it lacks too; once, however often and by whom it is brought."""
    files = restored.audit, restored.ledger, restored.other
    done = restored.replay(*files)
    assert (done["entries_entered"], done["entries_known"]) == (6, 1)
    assert (done["workspaces_created"], done["missing"]) == (1, [])
    assert restored.replay(*files, restored.ledger)["entries_entered"] == 0

    with serving(restored.data) as cli:
        for workspace, listed in restored.listed.items():
            assert entries(cli, workspace) == listed
        assert cli.text("ledger", "verify") == (
            "All add up. 2 ledgers: 7 entries, 10.999999993 credits.\n"
        )
        known = record(cli, restored.workspace, restored.key, "c2", "6")
        assert known.startswith("Entered 0 charges of 0 credits; 1 were known.")
        top_up(cli, restored.workspace, "before", "10")
        assert len(entries(cli, restored.workspace)) == 6
        refund = cli.json("ledger", "refund", restored.workspace, "--subject", "c2")
        assert refund["entry"]["amount_nano_credits"] == str(45 * 10**8)
        assert cli.text("ledger", "verify").startswith("All add up. 2 ledgers: 8 entries")


def test_it_says_what_it_did(restored: Restored) -> None:
    """To people, with what is left to do."""
    result = restored.db("db", "restore-epoch", *options((restored.ledger, restored.other)))

    assert result.stdout.endswith(
        "0 prices set.\nEntered again: 5 entries of credits; 1 were there already.\n"
    )
    assert result.stderr == (
        "Not in the backup, so that none of their entries was entered; replay the audit, too: "
        f"{restored.young}\n"
    )
    result = restored.db("db", "restore-epoch", *options((restored.audit, restored.other)))
    assert "Created again: 1 workspace.\nEntered again: 1 entry of credits" in result.stdout


def test_files_may_overlap_and_lack_entries(restored: Restored, tmp_path: Path) -> None:
    """What is in none is named; with it, the rest is entered later, and nothing twice."""
    lines = restored.ledger.read_text().splitlines()
    part = tmp_path / "part"
    part.write_text("".join(f"{line}\n" for line in sealed(lines[4:])))

    done = restored.replay(part)

    assert (done["entries_entered"], done["entries_nowhere"]) == (
        *(1, [f"{restored.workspace}: 2 to 4"]),
    )
    # It is of a charge that stands in the gap.
    [refund] = done["refunds_left_out"]
    assert json.loads(lines[5])["reference"] in refund
    again = restored.replay(part, restored.ledger)
    assert (again["entries_entered"], again["entries_nowhere"]) == (4, [])
    assert again["refunds_left_out"] == []
    with serving(restored.data) as cli:
        assert {one["reference"] for one in entries(cli, restored.workspace)} == {
            one["reference"] for one in restored.listed[restored.workspace]
        }
        verified = cli.text("ledger", "verify", restored.workspace)
        assert verified == "It adds up: 6 entries, 7.999999993 credits.\n"


def sealed(lines: list[str]) -> list[str]:
    """The lines under a seal that fits them."""
    seal = Seal()
    for line in lines[:-1]:
        seal.add(line)
    return [*lines[:-1], seal.line(json.loads(lines[-1])["workspace_id"], None, None)]


CHANGES: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "cut off": (lambda lines: lines[:-1], "cut off"),
    "cut off within a line": (lambda lines: [*lines[:2], lines[2][:40]], "cut off"),
    "an amount": (lambda lines: [changed(lines[0], amount="11"), *lines[1:]], "does not follow"),
    "a line": (lambda lines: [*lines[:1], changed(lines[1], note="x"), *lines[2:]], "the sha256"),
    "a line less": (lambda lines: [*lines[:2], *lines[3:]], "the count"),
    "an amount, and the seal": (
        lambda lines: sealed([changed(lines[0], amount="11", balance="11"), lines[-1]]),
        "entry 1 in the export of ",
    ),
    "a kind, and the seal": (
        lambda lines: sealed([lines[0], changed(lines[1], kind="ENTRY_KIND_NEW"), *lines[2:]]),
        "line 2: it is no exported entry, or one of a newer version",
    ),
    "terms, and the seal": (
        lambda lines: sealed([lines[0], without_terms(lines[1]), *lines[2:]]),
        "line 2: it is of an older version, whose exports lack the terms",
    ),
}


def changed(line: str, **values: Any) -> str:
    return json.dumps(json.loads(line) | values, sort_keys=True)


def without_terms(line: str) -> str:
    fields = json.loads(line)
    del fields["terms"]
    return json.dumps(fields, sort_keys=True)


@pytest.mark.parametrize("what", CHANGES)
def test_a_file_that_was_changed_does_nothing(restored: Restored, what: str) -> None:
    """Nor does a good one beside it: it is named in a sentence."""
    make, why = CHANGES[what]
    lines = make(restored.ledger.read_text().splitlines())
    restored.ledger.write_text("\n".join(lines) + "\n")

    sentence = restored.refusal(restored.audit, restored.other, restored.ledger)

    assert why in sentence
    assert restored.replay(restored.audit, restored.other)["entries_entered"] == 1
