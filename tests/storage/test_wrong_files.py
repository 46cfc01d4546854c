"""Files that are not ours, or no longer whole."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from keyauthority.base.relational.outages import StorageError
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite import migrate_sqlite, open_sqlite
from tests.conformance.records import ManualClock, a_key
from tests.rights import without_rights
from tests.storage.parts import files, on_driver, run_sql
from tests.transactions import changing

OPEN = """
import sys
from pathlib import Path
from keyauthority.base.relational.outages import StorageError
from keyauthority.storage.sqlite import migrate_sqlite
try:
    migrate_sqlite(Path(sys.argv[1]))
except StorageError as error:
    print(error)
"""


def refusal(path: Path) -> str:
    with pytest.raises(StorageError) as caught:
        migrate_sqlite(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    "content",
    [b"x", b"just a text\n" * 1000, b"\0" * 8192, b"SQLite format 2\0" * 100, b"SQLite format 3"],
)
def test_a_file_of_another_kind(path: Path, content: bytes) -> None:
    """A file that is no SQLite database is refused and stays as it was."""
    path.write_bytes(content)

    assert refusal(path) == f"{path} is no SQLite database; move it away or name another file"
    assert files(path) == {path.name: content}


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE bookmarks (url)"],
        ["PRAGMA journal_mode = wal", "CREATE TABLE bookmarks (url)"],
        ["CREATE TABLE alembic_version (version_num)", "CREATE TABLE keys (id)"],
        ["PRAGMA application_id = 42"],
    ],
)
def test_the_database_of_another_program(path: Path, statements: list[str]) -> None:
    """A SQLite database with other tables is refused and stays as it was."""
    run_sql(path, *statements)
    before = files(path)

    assert refusal(path) == f"{path} is the database of another program; name another file"
    assert files(path) == before


def test_a_directory(path: Path) -> None:
    """A directory in the place of the file is named as such."""
    path.mkdir()

    assert refusal(path) == f"the database {path} can't be read: Is a directory"


def filled(path: Path) -> bytes:
    """A database with some keys, and its bytes."""
    migrate_sqlite(path)
    run_sql(
        path,
        "INSERT INTO workspaces VALUES ('ws_1', 'acme', 0, 0, 0, 1)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
        "INSERT INTO keys (id, workspace_id, name, scopes, labels, disabled, create_time, update_time, "
        "version) SELECT 'key_' || i, 'ws_1', 'a key', '[]', '{}', 0, i, i, 1 FROM n",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    )
    return path.read_bytes()


@pytest.mark.parametrize("kept", [100, 4096, 4097, 40_000])
def test_a_database_cut_short(path: Path, kept: int) -> None:
    """A file that lost its end is refused and stays as it was."""
    whole = filled(path)
    assert len(whole) > kept
    path.write_bytes(whole[:kept])

    assert "can't be read" in refusal(path) or "damaged" in refusal(path)
    assert files(path) == {path.name: whole[:kept]}


@pytest.mark.parametrize("page", [0, 1, 5, 20, -1])
def test_a_database_with_a_damaged_page(path: Path, page: int) -> None:
    """A page of garbage anywhere is found at the start, and the file stays as it was."""
    content = bytearray(filled(path))
    begin = page % (len(content) // 4096) * 4096
    # The header's first 100 bytes stay, or it would be no database at all.
    begin += 100 if begin == 0 else 0
    content[begin : begin // 4096 * 4096 + 4096] = b"\xa5" * (4096 - begin % 4096)
    path.write_bytes(content)

    assert "can't be read" in refusal(path) or "damaged" in refusal(path)
    assert files(path) == {path.name: bytes(content)}


async def test_damage_under_way_is_an_outage(store: SqlStore, path: Path) -> None:
    """A key whose page turned to garbage is no unknown key: nobody can say what it is."""
    async with changing(store) as tx:
        for n in range(500):
            await tx.keys.insert(a_key(f"key_{n:03}"))
    await on_driver(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    await on_driver(store, "PRAGMA shrink_memory")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (first,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'head'"
        ).fetchone()
    with path.open("r+b") as file:
        file.seek(first * 4096)
        file.write(b"\xa5" * (path.stat().st_size - first * 4096))
    await on_driver(store, "PRAGMA cache_size = 0")

    with pytest.raises(KeyAuthorityError) as refused:
        await store.snapshot(["key_250"])

    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert refused.value.message == "the database is damaged"


def refusal_without_rights(path: Path) -> str:
    command = without_rights([sys.executable, "-c", OPEN, str(path)])
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert ended.stderr == ""
    return ended.stdout


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """Where no file can be made, one sentence says so."""
    tmp_path.chmod(0o555)

    assert refusal_without_rights(tmp_path / "books.db") == (
        f"the lock file {tmp_path / 'books.db.lock'} can't be opened: Permission denied\n"
    )


def test_a_database_that_cannot_be_written(path: Path) -> None:
    """A file that this process may only read is refused, and stays as it was."""
    before = filled(path)
    path.chmod(0o444)

    assert refusal_without_rights(path) == (
        f"the database {path} is read-only; let this user write it\n"
    )
    assert path.read_bytes() == before


async def test_a_refused_file_is_not_locked(path: Path) -> None:
    """Once a wrong file is moved away, the place can be used."""
    path.write_text("not a database")
    refusal(path)
    path.rename(path.with_name("elsewhere"))

    async with open_sqlite(path, ManualClock()) as store:
        await store.snapshot([])
