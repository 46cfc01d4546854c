"""Books that are gone, or a part of them: no others are made in their place, and no token is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from keyauthority.base.relational.location import PostgresUrl, parse_location
from keyauthority.domain.authenticating import Authenticating
from keyauthority.domain.books import Books, Unfenced
from keyauthority.storage import bootstrap
from keyauthority.storage.opening import open_books
from keyauthority.storage.postgres import migrate_postgres
from keyauthority.v1.key_service_pb2 import IssueKeyRequest
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.verification_service_pb2 import VERDICT_VALID, VerifyRequest
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from keyauthority.v1.workspace_service_pb2 import CreateWorkspaceRequest
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub
from tests.e2e.authority import AuthorityProcess, authority_process
from tests.postgres import empty_database, run_sql

DB: Final = "authority.db"
LEFT: Final = ("authority.db-wal", "authority.db-shm")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """How a command over *data* ends."""
    env = {name: value for name, value in os.environ.items() if "KEYAUTHORITY" not in name}
    command = [sys.executable, "-m", "keyauthority", "--data-dir", str(data), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=env)


def refusal(data: Path, *database: str) -> str:
    """What `serve` says before it gives up; nothing of *data* has changed but for the lock."""
    before = contents(data)
    ended = run(data, "serve", "--listen", "127.0.0.1:0", *(database or at(data)))
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert (ended.returncode, len(lines)) == (1, 1), ended.stderr
    assert contents(data) == before
    return lines[0].removeprefix("keyauthority: ")


def at(data: Path) -> tuple[str, str]:
    return ("--database", str(data / DB))


def contents(data: Path) -> dict[str, bytes]:
    own = (".lock", "-shm")
    return {file.name: file.read_bytes() for file in data.iterdir() if not file.name.endswith(own)}


async def issue(process: AuthorityProcess) -> str:
    """A new key's secret."""
    create = WorkspaceServiceStub(process.channel).CreateWorkspace
    workspace = (
        await create(CreateWorkspaceRequest(name="acme"), metadata=process.token)
    ).workspace
    request = IssueKeyRequest(workspace_id=workspace.id, name="a key")
    issued = await KeyServiceStub(process.channel).IssueKey(request, metadata=process.token)
    return str(issued.secret)


async def is_valid(process: AuthorityProcess, secret: str) -> bool:
    verify = VerificationServiceStub(process.channel).Verify
    answer = await verify(VerifyRequest(secret=secret), metadata=process.token)
    return bool(answer.verdict == VERDICT_VALID)


async def killed(data: Path) -> str:
    """Books with a key whose authority was killed; the key's secret."""
    async with authority_process(data) as process:
        secret = await issue(process)
        process.kill()
        await process.ended(within=10)
    return secret


async def test_killed_with_everything_there(data: Path) -> None:
    """That is what a crash leaves: the next start has all of it."""
    secret = await killed(data)
    async with authority_process(data) as process:
        assert await is_valid(process, secret)


async def test_the_write_ahead_log_deleted(data: Path) -> None:
    """The last changes are in it alone. Put back, nothing is lost."""
    secret = await killed(data)
    wal = (data / LEFT[0]).read_bytes()
    for name in LEFT:
        (data / name).unlink(missing_ok=True)

    assert refusal(data).startswith(
        f"the database {data / DB} has lost its write-ahead log {data / LEFT[0]}, "
    )
    for command in (("db", "migrate"), ("db", "lease")):
        assert "has lost its write-ahead log" in run(data, *command, *at(data)).stderr
    empty = run(data, "db", "restore-epoch", *at(data))
    assert (empty.returncode, empty.stdout) == (1, "")
    assert f"there are no books in {data / DB}" in empty.stderr
    # Nor has any of this made the file look like one that is new.
    assert "has lost its write-ahead log" in refusal(data)

    (data / LEFT[0]).write_bytes(wal)
    async with authority_process(data) as process:
        assert await is_valid(process, secret)


@pytest.mark.parametrize("beside", [{"keyring.json", "root.token"}, {"keyring.json"}, set()])
async def test_a_copy_of_the_database_file_alone(data: Path, beside: set[str]) -> None:
    """Copied while the authority ran: what is in the log is missing, be it all or a little."""
    async with authority_process(data) as process:
        await issue(process)
        copy = data.parent / "copy"
        copy.mkdir(mode=0o700)
        for name in {DB, *beside}:
            shutil.copy(data / name, copy)

    assert "has lost its write-ahead log" in refusal(copy)


async def test_a_backup_is_used_after_a_new_epoch_only(data: Path) -> None:
    """SQLite's own backup of books in use is whole; what was revoked since, it doesn't know."""
    async with authority_process(data) as process:
        secret = await issue(process)
        backup = data.parent / "backup.db"
        with closing(sqlite3.connect(data / DB)) as there, closing(sqlite3.connect(backup)) as here:
            there.backup(here)
        process.kill()
        await process.ended(within=10)
    for name in LEFT:
        (data / name).unlink(missing_ok=True)
    shutil.copy(backup, data / DB)
    assert "run keyauthority db restore-epoch" in refusal(data)

    restored = run(data, "db", "restore-epoch", *at(data))

    assert restored.returncode == 0, restored.stderr
    async with authority_process(data) as process:
        assert await is_valid(process, secret)


@pytest.mark.parametrize("how", ["deleted", "emptied"])
async def test_the_database_file_gone(data: Path, how: str) -> None:
    """Its log says that there were books; so do the keyring and the token, each alone."""
    await killed(data)
    if how == "deleted":
        (data / DB).unlink()
    else:
        (data / DB).write_bytes(b"")
    assert refusal(data).startswith(f"the database {data / DB} is gone, but its write-ahead log ")
    for name in LEFT:
        (data / name).unlink(missing_ok=True)

    both = refusal(data)
    (data / "root.token").rename(data.parent / "in the secret store")
    keyring = refusal(data)

    assert both == (
        f"there are no books in {data / DB}, but {data / 'keyring.json'} and {data / 'root.token'} "
        "belong to some: restore these, or name the right --database; "
        "for new books move what is left away"
    )
    assert keyring.startswith(
        f"there are no books in {data / DB}, but {data / 'keyring.json'} belongs"
    )


async def test_new_books_where_what_was_left_is_moved_away(data: Path) -> None:
    """That is how to say that they are wanted."""
    await killed(data)
    for file in [*data.iterdir()]:
        file.rename(data.parent / file.name)

    async with authority_process(data) as process:
        assert await process.is_serving()


async def test_the_postgresql_database_forgotten(data: Path) -> None:
    """Without KEYAUTHORITY_DATABASE no file is made beside the keyring of other books."""
    url = await migrated()
    async with authority_process(data, url.reveal()):
        pass

    ended = refusal(data, "--database", str(data / "keyauthority.db"))

    assert ended.startswith(f"there are no books in {data / 'keyauthority.db'}, but ")
    async with authority_process(data, url.reveal()) as process:
        assert await process.is_serving()


async def test_a_postgresql_database_made_anew(data: Path) -> None:
    """It is migrated and empty; the data directory tells of books."""
    async with authority_process(data, (await migrated()).reveal()):
        pass
    url = await migrated()

    assert refusal(data, "--database", url.reveal()).startswith(
        f"there are no books in {url}, but "
    )

    assert await run_sql(url, "SELECT * FROM peppers") == []
    assert await run_sql(url, "SELECT * FROM callers") == []


async def test_a_second_replica_with_a_copied_keyring(data: Path) -> None:
    """Its data directory has a keyring and no root token, and the books are begun: it serves."""
    url = await migrated()
    async with authority_process(data, url.reveal()) as first:
        second = data.parent / "second"
        second.mkdir(mode=0o700)
        shutil.copy(data / "keyring.json", second)
        secret = await issue(first)
        for name in ("authority.log", "root.token"):
            assert not (second / name).exists()
        shutil.copy(data / "root.token", second)
        async with authority_process(second, url.reveal()) as other:
            assert await is_valid(other, secret)


async def migrated() -> PostgresUrl:
    url = await empty_database()
    await migrate_postgres(url)
    return url


# Each line asks for a first start of its own that counts what it does to its files, and dies like by a
# power switch before one of these steps. The answer is its exit code.
DYING: Final = """
import asyncio, os, signal, sys
from pathlib import Path
from keyauthority.base.process.telemetry import configure_logging
from keyauthority.domain.secrets import redact
from keyauthority.storage import bootstrap
from keyauthority.storage.opening import open_books
from keyauthority.base.relational.location import parse_location
configure_logging("error", redact)
STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "sqlite3.connect"}
async def start(data, database):
    async with open_books(parse_location(database)) as store:
        await bootstrap.open_keyring(store, Path(data, "keyring.json"), Path(data, "root.token"))
def first_start(data, database, last):
    steps = 0
    def step(event, arguments):
        nonlocal steps
        if event in STEPS and any(data in str(one) for one in arguments):
            if steps == int(last):
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1
    sys.addaudithook(step)
    asyncio.run(start(data, database))
    os._exit(0)
for line in sys.stdin:
    if not (child := os.fork()):
        first_start(*line.split())
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


async def start_again(data: Path, database: str) -> None:
    """The next start, which works: keyring and root token are the ones of the books."""
    keyring, token = data / "keyring.json", data / "root.token"
    async with open_books(parse_location(database)) as store:
        opened = await bootstrap.open_keyring(store, keyring, token)
        root = await Authenticating(Books(store, Unfenced()), store, opened).by_token(
            token.read_text().strip()
        )
    assert root.name == "root"
    assert {file.name for file in data.iterdir()} <= {keyring.name, token.name, DB, f"{DB}.lock"}


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_a_first_start_killed_at_each_step(tmp_path: Path, database: str) -> None:
    """It is no loss of books: the next one makes them or completes them, without a person."""
    dying = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert dying.stdin is not None
    assert dying.stdout is not None
    codes: list[int] = []
    while 0 not in codes:
        data = tmp_path / f"{len(codes)}-steps"
        data.mkdir(mode=0o700)
        place = (await migrated()).reveal() if database == "postgres" else str(data / DB)
        dying.stdin.write(f"{data} {place} {len(codes)}\n".encode())
        codes.append(int(await dying.stdout.readline()))
        # Temporary files of the one that died are nobody's.
        for file in data.glob(".*.tmp"):
            file.unlink()
        token = data / "root.token"
        before = token.read_bytes() if token.exists() else None

        await start_again(data, place)

        assert before in (None, token.read_bytes())
    dying.stdin.close()
    await dying.wait()
    # Every file is opened, renamed and made durable; none of these steps was left out.
    assert codes[:-1] == [-signal.SIGKILL] * (len(codes) - 1)
    assert len(codes) > 12
