"""What is opened, and what is refused in a sentence."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from console.people import migrate_people, open_people
from console.people.engines import KIND
from keyauthority.base.relational.location import Location, PostgresUrl
from keyauthority.base.relational.outages import StorageError
from keyauthority.storage.postgres import migrate_postgres, open_postgres
from keyauthority.storage.sqlite import migrate_sqlite
from tests.console.people.parts import ManualClock, administrator, opened, sql
from tests.postgres import empty_database, in_server, run_sql, server_url


async def test_what_was_kept_is_there(location: Location, clock: ManualClock) -> None:
    """Whoever opens the books again finds the people of before."""
    async with opened(location, clock) as people:
        ada = await administrator(people)

    async with opened(location, clock) as people:
        assert await people.accounts.get(ada.id) == ada


async def test_as_it_comes(tmp_path: Path) -> None:
    """Without further settings there are times of now, and passwords of argon2's own default."""
    async with open_people(tmp_path / "console.db") as people:
        ada = await administrator(people)

    assert ada.create_time.tzinfo is not None
    [(kept,)] = await sql(tmp_path / "console.db", "SELECT password FROM people")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_a_file_of_its_owner_alone(tmp_path: Path, clock: ManualClock) -> None:
    """The file is its owner's alone, also when it wasn't before, and so is what lies beside it."""
    path = tmp_path / "console.db"
    path.touch(0o644)

    async with opened(path, clock) as people:
        await administrator(people)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}

    assert modes == {0o600}
    assert await sql(path, "PRAGMA application_id") == [(KIND.application_id,)]
    assert await sql(path, "PRAGMA journal_mode") == [("delete",)]


async def is_refused(location: Location, clock: ManualClock, sentence: str) -> None:
    """Opening and migrating are refused with *sentence*, and leave a file as it was."""
    before = content(location)
    for attempt in (opened(location, clock).__aenter__(), migrate_people(location)):
        with pytest.raises(StorageError, match=sentence) as error:
            await attempt
        assert "\n" not in str(error.value)
    assert content(location) == before


def content(location: Location) -> bytes:
    if isinstance(location, Path) and location.is_file():
        return location.read_bytes()
    return b""


async def test_the_authoritys_file_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    """The console doesn't open the authority's database, nor the authority the console's."""
    migrate_sqlite(tmp_path / "keys.db")
    await migrate_people(tmp_path / "console.db")

    await is_refused(tmp_path / "keys.db", clock, "the database of another program")
    with pytest.raises(StorageError, match="the database of another program"):
        migrate_sqlite(tmp_path / "console.db")


async def test_the_authoritys_postgres_is_refused(clock: ManualClock) -> None:
    """Neither takes the other's PostgreSQL database for its own, nor adds its tables there."""
    keys, console = await empty_database(), await empty_database()
    await migrate_postgres(keys)
    await migrate_people(console)

    await is_refused(keys, clock, "another program")
    with pytest.raises(StorageError, match="another program"):
        await migrate_postgres(console)
    with pytest.raises(StorageError, match="another program"):
        await open_postgres(console).__aenter__()

    assert await sql(keys, "SELECT to_regclass('people')") == [(None,)]
    assert await sql(console, "SELECT to_regclass('keys')") == [(None,)]


async def test_a_newer_database_is_refused(location: Location, clock: ManualClock) -> None:
    """A schema that this version doesn't know is left alone."""
    await sql(location, "UPDATE alembic_version SET version_num = 'console_9999'")
    await sql(location, "UPDATE compatibility SET usable_from = 'console_9999'")

    await is_refused(location, clock, r"newer version.*\(schema console_9999\)")


async def test_other_files_are_refused(tmp_path: Path, clock: ManualClock) -> None:
    """What is no database, or another program's, is named and left alone."""
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be one" * 100)
    other = tmp_path / "other.db"
    await sql(other, "CREATE TABLE theirs (x)")

    await is_refused(text, clock, "is no SQLite database")
    await is_refused(other, clock, "the database of another program")
    await is_refused(tmp_path, clock, "can't be opened")
    await is_refused(tmp_path / "none" / "console.db", clock, "No such file")


async def test_a_damaged_file_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    """A file that was overwritten is refused in a sentence."""
    path = tmp_path / "console.db"
    await migrate_people(path)
    data = bytearray(path.read_bytes())
    data[100:4096] = b"\xff" * 3996
    path.write_bytes(data)

    await is_refused(path, clock, "damaged")


async def test_an_unmigrated_postgres_is_refused(clock: ManualClock) -> None:
    """A PostgreSQL database is migrated by who says so, not by whoever starts."""
    url = await empty_database()

    with pytest.raises(StorageError, match="has no schema yet: run keyauthority-console"):
        await opened(url, clock).__aenter__()

    await migrate_people(url)
    async with opened(url, clock) as people:
        assert not await people.accounts.any_administrator()


async def test_an_older_postgres_is_refused(clock: ManualClock) -> None:
    """What an older version migrated is to be migrated first."""
    url = await empty_database()
    await migrate_people(url)
    await sql(url, "UPDATE alembic_version SET version_num = 'console_0001'")

    with pytest.raises(StorageError, match="older schema"):
        await opened(url, clock).__aenter__()


async def test_a_foreign_postgres_is_refused(clock: ManualClock) -> None:
    """Tables of another program aren't joined by ours."""
    url = await empty_database()
    await run_sql(url, "CREATE TABLE theirs (x int)")

    with pytest.raises(StorageError, match="the database of another program"):
        await migrate_people(url)

    assert await run_sql(url, "SELECT to_regclass('people')") == [(None,)]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hunter2@127.0.0.1:1/console",
        "postgresql://ada:hunter2@127.0.0.1:nonsense/console",
    ],
)
async def test_no_postgres(url: str, clock: ManualClock) -> None:
    """Where there is no server, or no such URL, the sentence says so without the password."""
    for attempt in (opened(PostgresUrl(url), clock).__aenter__(), migrate_people(PostgresUrl(url))):
        with pytest.raises(StorageError, match="can't be opened") as error:
            await attempt
        assert "hunter2" not in str(error.value)


async def test_no_such_postgres_database(clock: ManualClock) -> None:
    """A database that the server doesn't have is said not to exist."""
    url = in_server(server_url(), "nowhere")

    await is_refused(url, clock, "does not exist")


async def test_a_copy_is_a_backup(tmp_path: Path, clock: ManualClock) -> None:
    """A file that is copied while nobody writes holds everything: nothing lies beside it."""
    async with opened(tmp_path / "console.db", clock) as people:
        ada = await administrator(people)
        shutil.copy(tmp_path / "console.db", tmp_path / "copy.db")

    async with opened(tmp_path / "copy.db", clock) as people:
        assert await people.accounts.get(ada.id) == ada


async def test_a_file_gone_from_its_journal(tmp_path: Path, clock: ManualClock) -> None:
    """There were people; no other books are made in their place."""
    path = tmp_path / "console.db"
    journal = tmp_path / "console.db-journal"
    journal.write_bytes(b"what is left")

    await is_refused(path, clock, f"{path} is gone, but its journal {journal} is there")

    assert not path.exists()
    assert journal.read_bytes() == b"what is left"


async def test_a_folder_that_others_may_write_to(tmp_path: Path, clock: ManualClock) -> None:
    """They could put their own people there."""
    tmp_path.chmod(0o777)

    await is_refused(
        tmp_path / "console.db", clock, "others may write to the folder .*: chmod go-w"
    )
