"""Proving all ledgers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.parts import serving


def test_all_ledgers_are_proved(tmp_path: Path) -> None:
    """A summary, and each that does not add up."""
    data = tmp_path / "data"
    with serving(data) as cli:
        good, bad, _ = (cli.workspace(name) for name in ("good", "bad", "empty"))
        for workspace, amount in ((good, "2.5"), (bad, "4")):
            cli.text("ledger", "top-up", workspace, "--amount", amount, "--purchase", "p")
        sentence = "All add up. 3 ledgers: 2 entries, 6.5 credits.\n"
        assert cli.text("ledger", "verify") == sentence

    with closing(sqlite3.connect(data / "keyauthority.db")) as books, books:
        books.execute("UPDATE credit_accounts SET balance = 5 WHERE workspace_id = ?", [bad])

    with serving(data) as cli:
        wrong = cli("ledger", "verify")
        document = cli.json("ledger", "verify", exit_code=1)
        assert cli.text("ledger", "verify", good) == "It adds up: 1 entry, 2.5 credits.\n"
        assert cli("ledger", "verify", bad).exit_code == 1

    first, *lines = wrong.stdout.splitlines()
    assert wrong.exit_code == 1
    assert first == ("1 of 3 ledgers: 2 entries, 2.500000005 credits. These do not add up:")
    assert {line.split(":")[0] for line in lines} == {bad}
    assert f"{bad}: the account's balance is 5, and the sum of the entries is 4000000000" in lines
    assert [one["workspace_id"] for one in document["wrong"]] == [bad]
    assert (document["ledgers"], len(document["wrong"][0]["faults"])) == (3, len(lines))
