"""What becomes of a page when the console's own books fail, or are used wrongly."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.console.living import Console


def test_an_outage_of_the_books(own_console: Console) -> None:
    """The page says that the console is away, and the log why, in a word; then all goes on."""
    owner = own_console.first_owner()
    with closing(sqlite3.connect(own_console.database, isolation_level=None)) as tool:
        tool.execute("BEGIN EXCLUSIVE")
        refused = owner.get("/account")
        tool.execute("ROLLBACK")

    assert (refused.status, "The console is unavailable" in refused.text) == (503, True)
    [line] = [line for line in own_console.process.log() if line["level"] != "info"]
    assert (line["level"], line["event"]) == ("warning", "books_unavailable")
    assert line["reason"] == "the database is locked by another program"
    assert "exception" not in line
    assert owner.get("/account").status == 200


def test_a_mistake_of_ours(own_console: Console) -> None:
    """It is no outage that passes: the page is a 500, and the log has the traceback."""
    owner = own_console.first_owner()
    with closing(sqlite3.connect(own_console.database, isolation_level=None)) as tool:
        tool.execute("ALTER TABLE submissions RENAME TO mislaid")
        failed = owner.get("/account")
        tool.execute("ALTER TABLE mislaid RENAME TO submissions")

    assert failed.status == 500
    assert "submissions" not in failed.text
    [line] = [line for line in own_console.process.log() if line["level"] != "info"]
    assert (line["level"], line["event"]) == ("error", "internal_error")
    assert "Traceback" in line["exception"]
    assert "no such table: submissions" in line["exception"]
    assert owner.get("/account").status == 200
