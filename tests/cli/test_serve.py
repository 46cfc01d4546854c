"""Starting the authority, and migrating its database, from the command line."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.certificates import CertificateAuthority
from tests.cli.parts import PATIENCE, Cli, serving
from tests.ports import free_port


@pytest.fixture
def idle(tmp_path: Path) -> Cli:
    """The command line, with no authority behind it."""
    return Cli("127.0.0.1:1", tmp_path / "data")


def test_files_are_where_they_were_asked_for(tmp_path: Path) -> None:
    """Without options all of them are in the data directory; each can be moved."""
    database, keyring = tmp_path / "books.db", tmp_path / "peppers.json"

    with serving(tmp_path / "one"):
        inside = {file.name for file in (tmp_path / "one").iterdir()}
    with serving(tmp_path / "two", "--database", str(database), "--keyring", str(keyring)):
        assert database.exists()
        assert keyring.exists()
        outside = {file.name for file in (tmp_path / "two").iterdir()}

    assert {"root.token", "keyauthority.db", "keyring.json"} <= inside
    assert outside == {"root.token"}


def test_the_data_directory_may_stand_on_either_side(tmp_path: Path) -> None:
    """`serve --data-dir` wins over the option before the command."""
    with serving(tmp_path / "one", "--data-dir", str(tmp_path / "two")):
        assert (tmp_path / "two" / "root.token").exists()
    assert not (tmp_path / "one").exists()


def test_a_unix_socket_serves_as_well(tmp_path: Path) -> None:
    """unix:PATH on both ends."""
    address = f"unix:{tmp_path}/a.sock"
    with serving(tmp_path / "data", "--listen", address) as cli:
        assert cli("--address", address, "workspaces", "list").exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_to(idle: Cli, number: signal.Signals) -> None:
    """Both signals end it with 0 and no traceback."""
    events = []
    with idle.start("serve", "--listen", "127.0.0.1:0") as process:
        assert process.stderr is not None
        for line in process.stderr:
            events.append(json.loads(line)["event"])
            if events[-1] == "serving":
                process.send_signal(number)

    assert process.returncode == 0
    assert events[-1] == "stopped"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--listen", "0.0.0.0:0"), "would take tokens and secrets in plaintext"),
        (("--listen", "somewhere"), "--listen must be HOST:PORT"),
        (("--database", "mysql://user:pw@host/db"), "must be the path of a SQLite file or a pos"),
        (("--tls-cert", "cert.pem"), "--tls-cert and --tls-key need one another"),
        (("--tls-client-ca", "ca.pem"), "--tls-client-ca needs --tls-cert and --tls-key"),
        (("--max-charges-per-second", "0"), "--max-charges-per-second must be 1 or more"),
        (("--scope-rules", "nowhere.toml"), "nowhere.toml can't be read"),
        (("--audit-retention", "long"), "must be a number and d, h, m or s"),
        (("--audit-retention", "0d"), "--audit-retention must be more than nothing"),
        (("--metrics-listen", "9100"), "--metrics-listen must be HOST:PORT"),
        (("--log-level", "loud"), "'loud'"),
    ],
)
def test_settings_that_cannot_be_right_are_usage_errors(
    idle: Cli, options: tuple[str, ...], sentence: str
) -> None:
    """Nothing is started, nothing is written, no password is repeated."""
    refusal = idle.refusal("serve", *options, exit_code=2)

    assert sentence in refusal
    assert "pw" not in refusal
    assert not idle.data_dir.exists()


def test_beyond_loopback_is_fine_with_tls(tmp_path: Path) -> None:
    """With a certificate it may listen to the network."""
    cert, key = CertificateAuthority(tmp_path, "ca").sign("localhost")
    tls = ("--tls-cert", str(cert), "--tls-key", str(key))

    with serving(tmp_path / "data", *tls, "--listen", "0.0.0.0:0") as cli:
        assert cli.address


def test_a_port_in_use_and_unusable_certificates_end_with_1(
    cli: Cli, idle: Cli, tmp_path: Path
) -> None:
    """What only turns out at the start is one sentence and no traceback."""
    tls = ("--tls-cert", "/no/cert", "--tls-key", "/no/key")
    noise = tmp_path / "noise.pem"
    noise.write_text("no certificate")
    broken = ("--tls-cert", str(noise), "--tls-key", str(noise))
    for options, sentence in (
        (("--listen", cli.address), f"can't listen on {cli.address}"),
        (("--listen", "127.0.0.1:0", *tls), "/no/key can't be read"),
        (("--listen", "127.0.0.1:0", *broken), "not a certificate chain and its private key"),
    ):
        process = idle.start("serve", *options)
        _, stderr = process.communicate(timeout=PATIENCE)

        assert process.returncode == 1
        assert sentence in stderr
        assert "Traceback" not in stderr


def test_settings_come_from_the_environment_too(idle: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is read where no option is given."""
    monkeypatch.setenv("KEYAUTHORITY_LISTEN", f"192.0.2.1:{free_port()}")

    assert "plaintext" in idle.refusal("serve", exit_code=2)


def test_migrate_makes_and_keeps_a_database(idle: Cli, tmp_path: Path) -> None:
    """A missing one is made, one of this version stays as it is, and the authority then serves it."""
    database = tmp_path / "books.db"
    migrate = ("db", "migrate", "--database", str(database))

    assert idle.text(*migrate) == f"{database} has the schema of this version.\n"
    assert idle.json(*migrate) == {"database": str(database)}
    with serving(tmp_path / "data", "--database", str(database)) as cli:
        assert cli.workspace()


def test_migrate_refuses_what_it_must_not_touch(cli: Cli, tmp_path: Path) -> None:
    """A database in use, one that is none, and a folder that isn't there: one sentence each."""
    foreign = tmp_path / "letter.txt"
    foreign.write_text("dear database")

    assert "can't" in cli.refusal("db", "migrate", "--database", str(tmp_path / "no" / "x.db"))
    assert str(foreign) in cli.refusal("db", "migrate", "--database", str(foreign))
    assert foreign.read_text() == "dear database"
    assert str(cli.data_dir) in cli.refusal("db", "migrate")
