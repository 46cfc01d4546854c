"""A PostgreSQL server on a host of the test's network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.processes import PATIENCE, eventually
from tests.faults.network import Host
from tests.postgres import binaries, server_folder
from tests.rights import other_user

PORT = 5432
NAME = "postgres"
SETTINGS = {
    "listen_addresses": "*",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
}


class Database:
    """The server's processes, to be frozen and stopped as by a loss of power. Made by `database`."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.url = f"postgresql://{NAME}@{host.address}:{PORT}/{NAME}?sslmode=disable"
        self._binaries = binaries()
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen: list[int] = []

    def make(self) -> None:
        self._run("initdb", "-D", str(self._data), "-U", NAME, "-A", "trust", "-E", "UTF8", "-N")
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\nhost replication all samenet trust\n")

    def follow(self, primary: Database) -> None:
        """Copies what *primary* has, and follows it once it is started."""
        self._run("pg_basebackup", "-R", "-X", "stream", "-c", "fast",
                  "-D", str(self._data), "-d", primary.url)  # fmt: skip

    def copy_in_time(self) -> None:
        """From now on nothing is confirmed that a standby lacks; returns when one has it all."""
        self._query("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self._query("SELECT pg_reload_conf()")
        state = "SELECT sync_state FROM pg_stat_replication"
        eventually("the standby copies in time", lambda: self._query(state) == "sync")

    def promote(self) -> None:
        """Makes a standby the primary; returns when it is."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self._data))

    def start(self) -> None:
        """Starts it and waits until it takes connections."""
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        command = self._command("postgres", "-D", str(self._data), "-p", str(PORT), *settings)
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
        )
        eventually("PostgreSQL is ready", self._is_ready)

    def stop_at_once(self) -> None:
        """What was not written is lost, as with the power."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(PATIENCE)
            self._process = None

    def freeze(self) -> None:
        """All its processes; the first one first, which starts the others."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        self._frozen = [self._process.pid, *_children(self._process.pid)]
        for pid in self._frozen:
            _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in reversed(self._frozen):
            _signal(pid, signal.SIGCONT)
        self._frozen = []

    def end_listening(self) -> int:
        """Ends the connections that listen for hints; how many."""
        ended = self._query(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'"
        )
        return int(ended)

    def _query(self, sql: str) -> str:
        at = ("-h", "127.0.0.1", "-p", str(PORT), "-U", NAME)
        return self._run("psql", *at, "-Atc", sql).strip()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "PostgreSQL did not start"
        command = self._command("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(PORT))
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        command = self._command(program, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _command(self, program: str, *arguments: str) -> list[str]:
        user = other_user()
        # Only root can make the network.
        assert user is not None
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        return [*self.host.prefix, *become, str(self._binaries / program), *arguments]


@contextmanager
def database(host: Host, primary: Database | None = None) -> Iterator[Database]:
    """A server with an empty database, or that follows *primary*; gone at the end."""
    folder = server_folder()
    made = Database(host, folder)
    try:
        if primary is None:
            made.make()
        else:
            made.follow(primary)
        made.start()
        yield made
    finally:
        made.stop_at_once()
        shutil.rmtree(folder, ignore_errors=True)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
