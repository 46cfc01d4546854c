"""One process at a time."""

import os
import re
import socket
from pathlib import Path

import pytest

from keyauthority.base.relational.outages import StorageError
from keyauthority.storage.sqlite import open_sqlite
from keyauthority.storage.sqlite.lock import locked
from tests.conformance.records import ManualClock
from tests.storage.parts import start

HOLD = """
import sys
from pathlib import Path
from keyauthority.storage.sqlite.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def take(path: Path) -> None:
    with locked(path):
        pass


def test_a_second_process_is_told_who_holds_it(path: Path) -> None:
    """The refusal names the process, its host and since when it runs."""
    holder = start(HOLD, path)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        with pytest.raises(StorageError) as refusal:
            take(path)
    finally:
        holder.communicate()

    who = f"process {holder.pid} on {re.escape(socket.gethostname())}"
    when = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\+00:00"
    assert re.fullmatch(
        f"the database {re.escape(str(path))} is in use by {who} since {when}", str(refusal.value)
    )


def test_a_killed_process_leaves_no_lock(path: Path) -> None:
    """The lock of a process that died is free, whatever its file says."""
    holder = start(HOLD, path)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    holder.communicate()

    take(path)


def test_the_lock_names_its_latest_holder(path: Path) -> None:
    """A longer text of an earlier holder leaves nothing behind the new one."""
    lock = path.with_name("books.db.lock")
    lock.write_text("x" * 1000)

    with locked(path):
        assert lock.read_text().startswith(f"process {os.getpid()} on ")
        assert "x" * 10 not in lock.read_text()


async def test_a_store_is_opened_once(path: Path) -> None:
    """The same process can't open the books twice either, and can once they are closed."""
    async with open_sqlite(path, ManualClock()):
        with pytest.raises(StorageError, match="in use by process"):
            async with open_sqlite(path, ManualClock()):
                pass

    async with open_sqlite(path, ManualClock()):
        pass


def test_a_place_without_room_for_a_lock(tmp_path: Path) -> None:
    """A directory that isn't there is named in the refusal."""
    with pytest.raises(StorageError, match=r"nowhere.*can't be opened: No such file or directory"):
        take(tmp_path / "nowhere" / "books.db")


@pytest.mark.parametrize("there", [True, False])
def test_a_planted_link_is_not_followed(path: Path, tmp_path: Path, there: bool) -> None:
    """The file that it leads to is neither emptied nor made."""
    victim = tmp_path / "victim"
    if there:
        victim.write_text("content")
    path.with_name(f"{path.name}.lock").symlink_to(victim)

    with pytest.raises(StorageError, match="lock can't be opened: it is a symbolic link: remove"):
        take(path)

    assert victim.exists() is there
    assert not there or victim.read_text() == "content"


def test_a_folder_that_others_may_write_to_is_refused(path: Path) -> None:
    """There they could put whatever they like in the place of the books."""
    path.parent.chmod(0o777)

    with pytest.raises(StorageError, match=r"others may write to the folder .*: chmod go-w it"):
        take(path)
