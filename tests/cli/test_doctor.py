"""What the doctor finds, and that it changes nothing."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keyauthority.cli.doctor_authority import compared
from keyauthority.cli.doctor_here import judged_by_time
from keyauthority.cli.findings import Grade
from keyauthority.storage.sqlite import opening
from keyauthority.storage.sqlite.lock import locked
from tests.certificates import CertificateAuthority
from tests.cli.parts import Cli, serving
from tests.ports import free_port

NOW = datetime.now(UTC)
NO_TIME, DAY = timedelta(), timedelta(days=1)


def findings(cli: Cli, *arguments: str, failing: bool) -> dict[str, list[tuple[str, str]]]:
    """Grades and sentences, by what was checked."""
    document = cli.json("doctor", *arguments, exit_code=int(failing))
    found: dict[str, list[tuple[str, str]]] = {}
    for one in document["findings"]:
        found.setdefault(one["subject"], []).append((one["grade"], one["sentence"]))
    return found


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The files of an authority that ran, and an address where nobody listens."""
    with serving(tmp_path_factory.mktemp("doctor") / "data") as cli:
        cli.workspace()
    return Cli(f"127.0.0.1:{free_port()}", cli.data_dir)


def test_a_good_installation_has_no_failures(cli: Cli) -> None:
    """Every check is said, for people as well; --quiet says nothing."""
    found = findings(cli, failing=False)
    text = cli.text("doctor")

    assert {subject: one[0][0] for subject, one in found.items()} == dict.fromkeys(
        (
            "settings",
            "token",
            "files",
            "database",
            "reachability",
            "credential",
            "clock",
            "verifiers",
        ),
        "ok",
    )
    assert "in use by process" in found["database"][0][1]
    assert text.count("ok    ") == 8
    assert text.endswith("0 failures, 0 warnings.\n")
    assert cli.text("doctor", "-q") == ""


def test_a_stopped_authority_s_files_are_examined_and_left_as_they_are(stopped: Cli) -> None:
    """Nobody answers, and each address says so; the books are undamaged to the byte."""
    before = {file.name: file.read_bytes() for file in stopped.data_dir.iterdir()}

    found = findings(stopped, failing=True)

    assert found["reachability"] == [
        (
            "fail",
            (
                f"{stopped.address}: connection refused: start the authority there with `keyauthority "
                "serve`, or point --address (KEYAUTHORITY_ADDRESS) at it"
            ),
        )
    ]
    assert found["credential"] == [("skip", "there is nobody to ask")]
    assert found["database"][0][0] == "ok"
    after = {file.name: file.read_bytes() for file in stopped.data_dir.iterdir()}
    assert before == after


def test_an_authority_may_start_while_its_books_are_examined(
    stopped: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The doctor does not take the lock; the books are in use then."""
    began: list[Path] = []
    with contextlib.ExitStack() as stack:

        def look(path: Path, **_: bool) -> bool:
            began.append(stack.enter_context(locked(path)))
            return False

        monkeypatch.setattr(opening, "is_new", look)
        found = findings(stopped, failing=True)

    assert began == [stopped.data_dir / "keyauthority.db"]
    assert found["database"][0][0] == "ok"
    assert "in use by process" in found["database"][0][1]


def test_the_key_of_a_certificate_is_a_secret(stopped: Cli, tmp_path: Path) -> None:
    """Its mode is looked at, too."""
    cert, key = CertificateAuthority(tmp_path, "ca").sign("localhost")
    key.chmod(0o644)

    found = findings(stopped, "--tls-cert", str(cert), "--tls-key", str(key), failing=True)

    [failure] = [sentence for grade, sentence in found["files"] if grade == "fail"]
    assert failure.startswith(f"{key} is open to others: chmod 600 it")


def test_secrets_that_others_may_read_are_named(stopped: Cli) -> None:
    """And the command that mends it; a folder that others may write to, too."""
    keyring, token = stopped.data_dir / "keyring.json", stopped.data_dir / "root.token"
    for file in (keyring, token):
        file.chmod(0o644)
    stopped.data_dir.chmod(0o777)
    try:
        found = findings(stopped, failing=True)
    finally:
        stopped.data_dir.chmod(0o700)
        for file in (keyring, token):
            file.chmod(0o600)

    sentences = " ".join(sentence for grade, sentence in found["files"] if grade == "fail")
    assert f"others may write to the folder {stopped.data_dir}: chmod go-w it" in sentences
    assert f"{keyring} is open to others: chmod 600 it" in sentences
    assert found["token"] == [
        ("fail", f"{token} is open to every user of this machine: chmod 600 it")
    ]


def test_damaged_books_and_wrong_settings_are_found(
    stopped: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the sentences that `serve` refuses to start with; settings come from the environment."""
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE dear (data)")
    connection.close()
    monkeypatch.setenv("KEYAUTHORITY_LISTEN", "0.0.0.0:50051")

    found = findings(stopped, "--database", str(foreign), failing=True)
    missing = findings(stopped, "--database", str(tmp_path / "none.db"), failing=True)

    assert found["settings"][0][0] == "fail"
    assert found["settings"][0][1].startswith(
        "--listen 0.0.0.0:50051 would take tokens and secrets"
    )
    assert found["database"][0][0] == "fail"
    assert str(foreign) in found["database"][0][1]
    assert missing["database"][0][0] == "skip"
    assert not (tmp_path / "none.db").exists()


def test_certificates_are_judged_on_both_sides(tmp_path: Path) -> None:
    """One that ends tomorrow is warned of, in a file and of the server; a foreign CA is a failure."""
    ca, other = (CertificateAuthority(tmp_path, name) for name in ("ca", "other"))
    cert, key = ca.sign("localhost")
    key.chmod(0o600)
    tls = ("--tls-cert", str(cert), "--tls-key", str(key))
    with serving(tmp_path / "data", *tls) as cli:
        good = findings(cli, *tls, "--tls-ca", str(ca.path), failing=False)
        wrong = findings(cli, "--tls-ca", str(other.path), failing=True)
        nowhere = findings(cli, "--tls-cert", "/no.pem", "--tls-key", "/no.key", failing=True)

    tomorrow = f"{NOW + DAY:%Y-%m-%d}"
    warned = [sentence for grade, sentence in good["certificates"] if grade == "warn"]
    assert any(one.startswith(f"--tls-cert {cert} ends on {tomorrow}") for one in warned)
    assert any(one.startswith(f"that of {cli.address} ends on {tomorrow}") for one in warned)
    assert good["credential"][0][0] == "ok"
    assert f"has no certificate that {other.path} vouches for" in wrong["reachability"][0][1]
    assert ("fail", "--tls-cert: cannot read /no.pem: No such file or directory") in nowhere[
        "certificates"
    ]


@pytest.mark.parametrize(
    ("start", "end", "grade"),
    [
        (NOW - DAY, NOW + 60 * DAY, Grade.OK),
        (NOW - DAY, NOW + 20 * DAY, Grade.WARNING),
        (NOW - 2 * DAY, NOW - DAY, Grade.FAILED),
        (NOW + DAY, NOW + 60 * DAY, Grade.FAILED),
    ],
)
def test_a_certificate_has_its_time(start: datetime, end: datetime, grade: Grade) -> None:
    assert judged_by_time("c", start, end).grade is grade


@pytest.mark.parametrize(
    ("theirs", "took", "grade", "words"),
    [
        (NOW + timedelta(seconds=1), NO_TIME, Grade.OK, "1.000 s from the authority's"),
        (NOW - timedelta(seconds=5), timedelta(seconds=8), Grade.OK, "5.000 s from"),
        (NOW + timedelta(seconds=90), NO_TIME, Grade.WARNING, "unless the books are in PostgreSQL"),
        (NOW - timedelta(hours=1), NO_TIME, Grade.WARNING, "is 3,600 s behind this machine's"),
    ],
)
def test_clocks_are_compared(theirs: datetime, took: timedelta, grade: Grade, words: str) -> None:
    """As closely as the call that asked was quick."""
    finding = compared(theirs, NOW, took)

    assert finding.grade is grade
    assert words in finding.sentence
