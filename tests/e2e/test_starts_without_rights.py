"""Starts that a lack of rights rules out: one sentence on standard error, exit code 1."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keyauthority.base.process.files import write_private
from tests.certificates import CertificateAuthority
from tests.e2e.processes import run
from tests.ports import free_port
from tests.rights import without_rights

UNPRIVILEGED_FROM = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
DENIED = "Permission denied"


def refusal(*command: str | Path, **options: object) -> str:
    """The one sentence that `python -m COMMAND` says before it gives up."""
    ended = run(without_rights([sys.executable, "-m", *map(str, command)]), **options)
    said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert (ended.returncode, len(said), ended.stdout) == (1, 1, ""), ended.stderr
    return said[0]


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that its owner has closed to everybody, with a secret in it."""
    folder = tmp_path / "closed"
    folder.mkdir()
    write_private(folder / "secret", "canary\n")
    folder.chmod(0)
    return folder


@pytest.fixture
def unreadable(tmp_path: Path) -> Path:
    """A file that nobody may read."""
    path = tmp_path / "unreadable"
    write_private(path, "canary\n")
    path.chmod(0)
    return path


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    write_private(path, "canary\n")
    return path


def authority(folder: Path, *flags: str | Path) -> str:
    usual = ("--data-dir", folder / "data", "serve", "--listen", "127.0.0.1:0")
    return refusal("keyauthority", *usual, *flags)


def gateway(folder: Path, *flags: str | Path) -> str:
    usual = ["--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1"]
    return refusal("gateway", *usual, "--token-file", folder / "token", *flags)


def console(folder: Path, *flags: str | Path) -> str:
    usual = ("--listen", "127.0.0.1:0", "--database", folder / "console.db")
    return refusal("console", *usual, "--token-file", folder / "token", *flags)


Start = Callable[..., str]


@pytest.mark.parametrize(
    ("start", "flag"),
    [
        (authority, "--keyring"),
        (gateway, "--token-file"),
        (gateway, "--upstream-key-file"),
        (gateway, "--tls-ca"),
        (console, "--token-file"),
        (console, "--tls-ca"),
        (console, "--database"),
        (console, "--setup-link-file"),
    ],
)
def test_a_file_out_of_reach(
    start: Start, flag: str, tmp_path: Path, token: Path, closed: Path, unreadable: Path
) -> None:
    """One that can't be read and one in a folder that can't be entered are named."""
    files = [closed / "secret"]
    if flag != "--setup-link-file":
        files.append(unreadable)
    for file in files:
        sentence = start(tmp_path, flag, file)
        assert str(file) in sentence
        # A keyring that is there tells of books that are not: that is said before it is read.
        assert DENIED in sentence or "there are no books" in sentence
        assert "canary" not in sentence


@pytest.mark.parametrize("start", [authority, gateway, console])
def test_a_certificate_out_of_reach(start: Start, tmp_path: Path, token: Path) -> None:
    """Both halves are needed."""
    cert, key = CertificateAuthority(tmp_path, "ca").sign("localhost")
    key.chmod(0)

    sentence = start(tmp_path, "--tls-cert", cert, "--tls-key", key)

    assert DENIED in sentence
    assert str(tmp_path) in sentence


def test_the_ca_of_clients_out_of_reach(tmp_path: Path, unreadable: Path) -> None:
    """It is named."""
    cert, key = CertificateAuthority(tmp_path, "ca").sign("localhost", "server")
    tls = ("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", unreadable)

    assert authority(tmp_path, *tls) == f"keyauthority: {unreadable} can't be read: {DENIED}"


@pytest.mark.parametrize(
    ("start", "flag"),
    [
        (authority, "--listen"),
        (authority, "--metrics-listen"),
        (gateway, "--listen"),
        (gateway, "--metrics-listen"),
        (console, "--listen"),
    ],
)
def test_a_port_for_root_only(start: Start, flag: str, tmp_path: Path, token: Path) -> None:
    """The address is named."""
    if UNPRIVILEGED_FROM.exists() and int(UNPRIVILEGED_FROM.read_text()) <= 1:
        pytest.skip("every user may have every port here: set net.ipv4.ip_unprivileged_port_start")

    sentence = start(tmp_path, flag, "127.0.0.1:1")

    assert "127.0.0.1:1" in sentence
    assert DENIED in sentence or "closed to this user" in sentence


@pytest.mark.parametrize("mode", [0, 0o444])
def test_a_database_out_of_reach(tmp_path: Path, closed: Path, mode: int) -> None:
    """The authority's, also for those who keep it in order."""
    database = tmp_path / "books.db"
    command = [sys.executable, "-m", "keyauthority", "db", "migrate", "--database", str(database)]
    assert run(command).returncode == 0
    database.chmod(mode)
    reason = DENIED if mode == 0 else "is read-only"

    assert reason in authority(tmp_path, "--database", database)
    for file, why in ((database, reason), (closed / "secret", DENIED)):
        for work in ("migrate", "lease", "restore-epoch"):
            sentence = refusal("keyauthority", "db", work, "--database", file)
            assert str(file) in sentence
            assert why in sentence


@pytest.mark.parametrize("name", ["closed/secret", "unreadable"])
def test_a_command_without_a_token_it_can_read(
    name: str, tmp_path: Path, closed: Path, unreadable: Path
) -> None:
    """A token that may be there is not said to be missing."""
    file = tmp_path / name

    sentence = refusal("keyauthority", "--token-file", file, "keys", "list")

    assert sentence == f"Error: cannot read {file}: {DENIED}"


def test_people_out_of_reach(closed: Path) -> None:
    """The console's database may be there."""
    where = ("--database", closed / "secret")

    assert DENIED in refusal("console", *where, "migrate")
    assert DENIED in refusal("console", *where, "recover", "me@example.com")


def test_a_demo_whose_folder_is_closed(closed: Path) -> None:
    """`make run` says which."""
    ports = ("AUTHORITY_PORT", "GATEWAY_PORT", "UPSTREAM_PORT", "CONSOLE_PORT")
    env = {name: str(free_port()) for name in ports}

    for folder in (closed, closed / "data"):
        sentence = refusal("demo.run", env={**env, "DATA_DIR": str(folder)})
        assert sentence.startswith(f"make run: {folder}")
        assert sentence.endswith(DENIED)
