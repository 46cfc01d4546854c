"""A PgBouncer for tests, in front of a PostgreSQL server. Where there is none, tests skip."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from keyauthority.base.relational.location import PostgresUrl
from tests.ports import free_port
from tests.rights import become, folder_of, other_user

WHY_NOT: Final = "no PgBouncer: install the package pgbouncer"

_SETTINGS: Final = {
    "listen_addr": "127.0.0.1",
    "unix_socket_dir": "",
    "auth_type": "any",
    "default_pool_size": "40",
    "max_client_conn": "200",
    "logfile": "",
    "verbose": "0",
}


@contextmanager
def pgbouncer(url: PostgresUrl, pool_mode: str, **settings: str) -> Iterator[PostgresUrl]:
    """The URL by which *url* is reached through a PgBouncer that pools by *pool_mode*.

    *settings* are more of PgBouncer's own, in its words.
    """
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(WHY_NOT)
    user = other_user()
    folder = folder_of(user, Path(tempfile.gettempdir()))
    parts, port = urlsplit(url.reveal()), free_port()
    name = parts.path.removeprefix("/")
    target = f"host={parts.hostname} port={parts.port} dbname={name} user={parts.username}"
    lines = ["[databases]", f"{name} = {target}", "[pgbouncer]", f"listen_port = {port}"]
    chosen = {**_SETTINGS, "pool_mode": pool_mode, **settings}
    lines += [f"{setting} = {value}" for setting, value in chosen.items()]
    configuration = folder / "pgbouncer.ini"
    configuration.write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        [program, "--quiet", str(configuration)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        **become(user),
    )
    try:
        _until_ready(process, port)
        yield PostgresUrl(parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl())
    finally:
        process.terminate()
        process.communicate(timeout=10)
        shutil.rmtree(folder, ignore_errors=True)


def _until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()[1].decode()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("PgBouncer did not start in time")
