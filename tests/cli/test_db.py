"""What operators do to the database while no authority runs: leases, and what follows a restore."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyauthority.cli.replaying import audit_entries
from keyauthority.client import connect_blocking, load_token
from keyauthority.client.admin import AuditFilter, BlockingAdminClient, audit
from keyauthority.coherence.leases import wait_out
from tests.cli.parts import Cli, serving
from tests.postgres import new_database, run_sql


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def db(data: Path) -> Cli:
    """The command line over a data directory whose authority does not run."""
    data.mkdir()
    return Cli("unix:/nowhere", data)


@pytest.fixture
def books(data: Path, db: Cli) -> Cli:
    """The same, when the authority has run there."""
    with serving(data):
        return db


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the command waited, in seconds; nobody really does."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waits


class TestLease:
    def test_is_shown_and_set(self, db: Cli, slept: list[float]) -> None:
        """A longer one is granted at once; what is shown is what was set."""
        assert db.text("db", "lease") == "Leases last 3 s.\n"
        assert db.text("db", "lease", "10s") == "Leases last 10 s.\n"
        assert db.json("db", "lease") == {"lease": "10s"}
        assert slept == []

    def test_shortened_waits_for_those_of_the_old_length(self, db: Cli, slept: list[float]) -> None:
        """When it returns nobody holds a longer one, and changes wait no longer for it."""
        assert db.json("db", "lease", "400ms") == {"lease": "0.4s"}
        assert slept == [wait_out(timedelta(seconds=3))]
        assert db.text("db", "lease", "200ms")
        assert slept[1:] == [wait_out(timedelta(milliseconds=400))]

    @pytest.mark.parametrize("length", ["199ms", "0s", "61s", "1d"])
    def test_out_of_bounds_is_refused(self, db: Cli, length: str) -> None:
        """Too short to renew in time, or too long to wait for."""
        assert db.refusal("db", "lease", length) == "lease is not between 200ms and 60s"
        assert db.text("db", "lease") == "Leases last 3 s.\n"

    def test_that_is_none_is_a_usage_error(self, db: Cli) -> None:
        """It says what would be one."""
        assert "must be a number and" in db.refusal("db", "lease", "soon", exit_code=2)

    def test_is_not_touched_under_a_running_authority(self, data: Path) -> None:
        """It would go on granting by the old one; the sentence says who holds the database."""
        with serving(data) as cli:
            assert "is in use" in cli.refusal("db", "lease", "1s")

    def test_is_told_by_the_audit(self, db: Cli, data: Path, slept: list[float]) -> None:
        """Which words the promise was given in, before and after, and that it was done at the machine."""
        db.text("db", "lease", "500ms")
        with serving(data) as cli:
            by_operator = cli.json("audit", "list", "--caller", "operator")["entries"]
            text = cli.text("audit", "list", "--action", "lease-changed")
        assert {one["action"] for one in by_operator} == {"db lease"}
        assert [(one["fact"], one["details"]) for one in by_operator][::-1] == [
            (
                "ACTION_LEASE_CHANGED",
                {"from": "3 seconds", "to": "0.5 seconds"},
            ),
            (
                "ACTION_LEASE_CHANGED",
                {"longest_lease": "0.5 seconds"},
            ),
        ]
        assert "operator at the machine" in text

    def test_is_granted_by_the_next_start(self, db: Cli, data: Path, slept: list[float]) -> None:
        """And shown with the sessions."""
        db.text("db", "lease", "500ms")
        with serving(data) as cli:
            assert cli.json("sessions", "list")["lease"] == "0.500s"


def test_an_export_is_read_as_it_was_written(data: Path, tmp_path: Path) -> None:
    """All that an entry says, for whom it was done too."""
    export = tmp_path / "audit.jsonl"
    with serving(data) as cli:
        workspace = cli.workspace()
        issue = cli.acting("console", tmp_path / "console.token")
        key = issue(workspace, "person_1", "alice@example.com").key
        cli.text("audit", "export", "--output", str(export))
        with connect_blocking(cli.address) as channel:
            client = BlockingAdminClient(channel, load_token(data / "root.token"))
            written = client.call(audit.page(AuditFilter())).records

    read = audit_entries(export)

    assert (read[0].subject, read[0].person_id, read[0].person_name) == (
        *(key.id, "person_1", "alice@example.com"),
    )
    assert tuple(read) == written


def entry(**fields: Any) -> str:
    entry = {"id": "1", "time": "2026-01-01T00:00:00Z", "action": "KeyService.RevokeKey"}
    return json.dumps(entry | fields)


class TestRestoreEpoch:
    def test_takes_back_nothing_that_was_refused(
        self, db: Cli, data: Path, tmp_path: Path, slept: list[float]
    ) -> None:
        """A backup, then keys and a caller are revoked, a workspace suspended, a key rotated and
        one disabled; then the disk is lost.
        """
        export, backup = tmp_path / "audit.jsonl", tmp_path / "backup"
        db.text("db", "lease", "200ms")
        with serving(data) as cli:
            workspace, other = cli.workspace(), cli.workspace("other")
            keys = [cli.issue("--workspace", workspace) for _ in range(5)]
            suspended = cli.issue("--workspace", other)
            caller = cli.json("callers", "create", "ci", "--role", "issuer")["caller"]["id"]
            cli.text("keys", "update", keys[4][0], "--name", "known to the backup")
            cli.text("workspaces", "suspend", workspace)
            cli.text("workspaces", "resume", workspace)
        shutil.copytree(data, backup)
        with serving(data) as cli:
            cli.text("keys", "revoke", keys[0][0], "--reason", "compromised", "--note", "in a log")
            cli.text("keys", "revoke", keys[1][0])
            rotated = cli.json("keys", "rotate", keys[2][0])["secret"]
            cli.text("keys", "update", keys[3][0], "--pause")
            cli.text("workspaces", "suspend", other)
            cli.text("callers", "revoke", caller)
            key_id, _ = cli.issue("--workspace", workspace)
            cli.text("keys", "revoke", key_id)
            cli.text("audit", "export", "--output", str(export))
        for name in ("keyauthority.db", "keyauthority.db-wal", "keyauthority.db-shm"):
            (data / name).unlink(missing_ok=True)
        shutil.copy(backup / "keyauthority.db", data)
        slept.clear()

        done = db.json("db", "restore-epoch", "--replay", str(export))

        assert slept == [wait_out(timedelta(milliseconds=200))]
        epoch = done["epoch"]
        assert done == {
            "epoch": epoch,
            "keys_revoked": 2,
            "callers_revoked": 1,
            "workspaces_changed": 1,
            "workspaces_created": 0,
            "prices_set": 0,
            "entries_entered": 0,
            "entries_known": 0,
            "entries_nowhere": [],
            "refunds_left_out": [],
            "keys_rotated": [keys[2][0]],
            "keys_updated": [keys[3][0]],
            "missing": [key_id],
        }
        with serving(data) as cli:
            verdicts = [_verdict(cli, secret) for _, secret in [*keys, suspended]]
            assert verdicts == [
                "REVOKED",
                "REVOKED",
                "VALID",
                "VALID",
                "VALID",
                "WORKSPACE_SUSPENDED",
            ]
            assert _verdict(cli, rotated) == "UNKNOWN"
            first = cli.json("keys", "get", keys[0][0])["key"]
            assert first["revocation_reason"] == "REVOCATION_REASON_COMPROMISED"
            assert first["revocation_note"] == "in a log"
            assert first["revoker_name"] == "root"
            callers = cli.json("callers", "list")["callers"]
            assert [one["id"] for one in callers if "revoke_time" in one] == [caller]
            assert cli.json("sessions", "list")["epoch"] == epoch
            again = tmp_path / "again.jsonl"
            cli.text("audit", "export", "--output", str(again))
        (data / "keyauthority.db").unlink()
        for name in ("keyauthority.db-wal", "keyauthority.db-shm"):
            (data / name).unlink(missing_ok=True)
        shutil.copy(backup / "keyauthority.db", data)

        # The same backup once more: by now only the first restore tells of some of it.
        done = db.json("db", "restore-epoch", "--replay", str(again))

        # Never the same epoch: verifiers would take one set of books for the other.
        assert int(done["epoch"]) > int(epoch)
        assert (done["keys_revoked"], done["callers_revoked"]) == (2, 1)
        assert done["workspaces_changed"] == 1

    def test_says_what_it_did_and_what_is_left_to_do(
        self, books: Cli, tmp_path: Path, slept: list[float]
    ) -> None:
        """In sentences for people."""
        export = tmp_path / "audit.jsonl"
        export.write_text(entry(subject="key_nowhere") + "\n\n")
        result = books("db", "restore-epoch", "--replay", str(export))
        assert result.exit_code == 0
        first, rest = result.stdout.split(" has begun; ", 1)
        assert int(first.removeprefix("Epoch ")) > 1
        assert rest == (
            "leases from before are over (3.37 s).\n"
            "Done again: 0 keys and 0 callers revoked, 0 workspaces suspended or resumed, "
            "0 prices set.\n"
        )
        assert result.stderr == ("Not in the backup, since they were made after it: key_nowhere\n")
        assert " has begun" in books.text("db", "restore-epoch")

    def test_replays_nothing_that_was_refused(
        self, books: Cli, tmp_path: Path, slept: list[float]
    ) -> None:
        """Somebody tried to, and was not let."""
        export = tmp_path / "audit.jsonl"
        export.write_text(entry(subject="key_nowhere", refused=True))
        assert books.json("db", "restore-epoch", "--replay", str(export))["missing"] == []

    @pytest.mark.parametrize("there", ["nothing", "an empty file", "tables", "no rows"])
    def test_of_no_books_is_refused(
        self, db: Cli, data: Path, slept: list[float], there: str
    ) -> None:
        """It is no restore to begin an epoch of nothing; the place stays as it was."""
        path = data / "keyauthority.db"
        if there == "an empty file":
            path.touch()
        elif there == "tables":
            db.text("db", "migrate")
        elif there == "no rows":
            db.text("db", "lease", "400ms")
            slept.clear()
        before = path.read_bytes() if path.exists() else None

        refused = db.refusal("db", "restore-epoch")

        assert refused.startswith(f"there are no books in {path}")
        assert (path.read_bytes() if path.exists() else None) == before
        assert slept == []

    def test_of_a_postgresql_database_without_books_is_refused(
        self, db: Cli, slept: list[float]
    ) -> None:
        """It has the schema, and nothing in it."""
        url = asyncio.run(new_database())

        refused = db.refusal("db", "restore-epoch", "--database", url.reveal())

        assert refused == f"there are no books in {url}: restore a backup of them"
        assert asyncio.run(run_sql(url, "SELECT epoch FROM head")) == [(1,)]
        assert slept == []

    @pytest.mark.parametrize(
        "bad",
        [
            "not json",
            "[]",
            "7",
            "{}",
            '{"id": "1", "time": "2026-01-01T00:00:00Z"}',
            '{"id": "x"}',
            '{"what": 1}',
            '{"id": "1", "time": "yesterday"}',
            '{"id": "1", "time": "0000-01-01T00:00:00Z"}',
        ],
    )
    def test_of_a_bad_line_does_nothing(
        self, db: Cli, tmp_path: Path, slept: list[float], bad: str
    ) -> None:
        """It is named; a half-read file is not half replayed, and no epoch begins."""
        export = tmp_path / "audit.jsonl"
        export.write_text(entry(subject="key_1") + "\n" + bad + "\n")
        refused = db.refusal("db", "restore-epoch", "--replay", str(export))
        assert refused == f"{export}, line 2, is no exported audit entry"
        assert slept == []

    def test_of_a_file_that_is_not_there_does_nothing(
        self, db: Cli, tmp_path: Path, slept: list[float]
    ) -> None:
        """Nor of one that is no text."""
        missing, binary = tmp_path / "missing", tmp_path / "binary"
        binary.write_bytes(b"\xff\xfe")
        for file in (missing, binary):
            sentence = db.refusal("db", "restore-epoch", "--replay", str(file))
            assert sentence.startswith(f"cannot read {file}: ")
        assert slept == []

    def test_is_refused_under_a_running_authority(self, data: Path) -> None:
        """Which would have to forget what it holds in memory."""
        with serving(data) as cli:
            assert "is in use" in cli.refusal("db", "restore-epoch")


def _verdict(cli: Cli, secret: str) -> str:
    result = cli("--json", "verify", stdin=secret)
    verdict: str = json.loads(result.stdout)["verdict"]
    return verdict.removeprefix("VERDICT_")
