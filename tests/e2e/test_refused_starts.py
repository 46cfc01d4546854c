"""Starts that can't be: one sentence that says what to do, exit code 1, nothing changed."""

from __future__ import annotations

import re
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.authority import authority_process
from tests.e2e.processes import run
from tests.rights import without_rights


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A place for a data directory."""
    return tmp_path / "data"


def refusal(
    data: Path,
    *arguments: str,
    listen: str = "127.0.0.1:0",
    rights: bool = True,
) -> str:
    """What `keyauthority serve` says before it gives up."""
    files = ["--data-dir", str(data), "--database", str(data / "authority.db")]
    command = [sys.executable, "-m", "keyauthority", "serve", "--listen", listen]
    command += [*files, *arguments]
    ended = run(command if rights else without_rights(command))
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert ended.returncode == 1, ended.stderr
    assert len(lines) == 1, ended.stderr
    assert ended.stdout == ""
    return lines[0].removeprefix("keyauthority: ")


async def test_a_second_process(data: Path) -> None:
    """It is refused, told who holds the database, and the first one goes on."""
    async with authority_process(data) as first:
        sentence = refusal(data)
        assert await first.is_serving()

    assert re.fullmatch(
        rf"the database {re.escape(str(data))}/authority\.db is in use by process {first.pid} "
        rf"on {re.escape(socket.gethostname())} since \S+ \S+",
        sentence,
    )


def test_a_port_in_use(data: Path) -> None:
    """The address is named."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        listen = f"127.0.0.1:{holder.getsockname()[1]}"
        sentence = refusal(data, listen=listen)

    assert sentence == (
        f"can't listen on {listen}: "
        "is it in use, not an address of this machine, or closed to this user?"
    )


def test_a_metrics_port_in_use(data: Path) -> None:
    """So is the address of the metrics."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        listen = f"127.0.0.1:{holder.getsockname()[1]}"
        sentence = refusal(data, "--metrics-listen", listen)

    assert sentence == f"cannot serve metrics on {listen}: Address already in use"


def test_a_data_directory_that_cannot_be_made(data: Path) -> None:
    """Nobody may make it where it should be."""
    data.parent.chmod(0o555)

    assert refusal(data, rights=False) == (
        f"the data directory {data} can't be made: Permission denied"
    )


def test_a_data_directory_that_cannot_be_written(data: Path) -> None:
    """It is there, but belongs to somebody else."""
    data.mkdir(mode=0o555)

    assert "Permission denied" in refusal(data, rights=False)


def test_a_file_where_the_data_directory_should_be(data: Path) -> None:
    """A file can't hold files."""
    data.write_text("")

    assert refusal(data) == f"the data directory {data} can't be made: File exists"


def test_a_keyring_out_of_reach(data: Path) -> None:
    """A keyring in a folder that this user may not enter is named, not the root token."""
    vault = data.parent / "vault"
    vault.mkdir(mode=0)
    keyring = vault / "keyring.json"

    sentence = refusal(data, "--keyring", str(keyring), rights=False)

    assert sentence.startswith(f"the keyring {keyring} ")
    assert sentence.endswith("Permission denied")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff"])
async def test_a_damaged_keyring(data: Path, content: bytes) -> None:
    """The sentence comes through to the terminal."""
    await filled(data)
    keyring = data / "keyring.json"
    keyring.write_bytes(content)
    keyring.chmod(0o600)

    assert refusal(data) == (
        f"the keyring {keyring} is damaged: it is not a keyring of this authority"
    )
    assert keyring.read_bytes() == content


async def filled(data: Path) -> Path:
    """The database of an authority that has run."""
    async with authority_process(data) as process:
        process.terminate()
        assert await process.ended(within=15) == 0
    return data / "authority.db"


async def test_a_damaged_database(data: Path) -> None:
    """It is refused and stays byte for byte as it was, for whoever can rescue it."""
    database = await filled(data)
    content = bytearray(database.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    database.write_bytes(content)

    sentence = refusal(data)

    assert sentence.startswith(f"the database {database} ")
    assert database.read_bytes() == content


def test_the_database_of_another_program(data: Path) -> None:
    """It is refused and stays byte for byte as it was."""
    data.mkdir(mode=0o700)
    database = data / "authority.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    content = database.read_bytes()

    assert refusal(data) == (f"{database} is the database of another program; name another file")
    assert database.read_bytes() == content


async def test_a_keyring_gone(data: Path) -> None:
    """The database of a keyring that is gone is not given a new one; put back, it works."""
    await filled(data)
    keyring = data / "keyring.json"
    peppers = keyring.read_bytes()
    keyring.unlink()

    assert refusal(data) == (
        f"the keyring {keyring} is missing: put back the one this database was made with"
    )
    assert not keyring.exists()
    keyring.write_bytes(peppers)
    keyring.chmod(0o600)
    async with authority_process(data) as again:
        assert await again.is_serving()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_data_directory_that_others_may_write_to(data: Path, mode: int) -> None:
    """Nothing is made in it."""
    data.mkdir()
    data.chmod(mode)

    assert refusal(data) == (
        f"the data directory can't be used: others may write to the folder {data}: chmod go-w it"
    )
    assert [*data.iterdir()] == []


def test_a_socket_where_others_may_write(data: Path) -> None:
    """They could put theirs in its place."""
    data.mkdir(mode=0o700)
    folder = data.parent / "sockets"
    folder.mkdir()
    folder.chmod(0o1777)
    listen = f"unix:{folder}/a.sock"

    assert refusal(data, listen=listen) == (
        f"can't listen on {listen}: others may write to the folder {folder}: chmod go-w it"
    )
