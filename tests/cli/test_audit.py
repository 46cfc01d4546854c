"""The audit from the command line."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.cli.parts import Cli, serving


def test_list_shows_who_did_what(cli: Cli) -> None:
    """The newest first: the caller, the action and what it was done to."""
    key_id, _ = cli.issue()
    cli.text("keys", "revoke", key_id, "--note", "lost")

    lines = cli.text("audit", "list", "--subject", key_id).splitlines()
    document = cli.json("audit", "list", "--subject", key_id)

    assert lines[0].split()[:4] == ["TIME", "WHO", "ACTION", "SUBJECT"]
    assert [line.split()[1:4] for line in lines[1:]] == [
        ["root", "key-revoked", key_id],
        ["root", "key-issued", key_id],
    ]
    assert "note=lost" in lines[1]
    assert [one["fact"] for one in document["entries"]] == [
        "ACTION_KEY_REVOKED",
        "ACTION_KEY_ISSUED",
    ]
    assert [one["action"] for one in document["entries"]] == [
        "KeyService.RevokeKey",
        "KeyService.IssueKey",
    ]


def test_list_says_what_became_of_what(cli: Cli) -> None:
    """The old value and the new one; lengths of time as people say them."""
    key_id, _ = cli.issue()
    cli.text("keys", "update", key_id, "--name", "to deploy", "--pause", "--scope", "read")
    cli.text("keys", "rotate", key_id, "--overlap", "24h")

    told = cli.text("audit", "list", "--subject", key_id)

    rotated, scopes, paused, renamed, _ = told.splitlines()[1:]
    assert "key-rotated" in rotated
    assert rotated.endswith("overlap=24 hours")
    assert scopes.endswith('from "full access" to "read"')
    assert "key-paused" in paused
    assert "from" not in paused.split("key-paused")[1]
    assert renamed.endswith('to "to deploy"')
    only = cli.text("audit", "list", "--subject", key_id, "--action", "KEY-RENAMED")
    assert [line.split() for line in only.splitlines()[1:]] == [renamed.split()]


def test_an_action_that_is_none_is_refused_with_those_there_are(cli: Cli) -> None:
    """A misspelt filter finds nothing silently otherwise."""
    said = cli.refusal("audit", "list", "--action", "key-revoke", exit_code=2)
    for name in ("key-revoked", "workspace-suspended", "attempt-refused"):
        assert name in said


def test_list_narrows_by_workspace_caller_and_time(cli: Cli) -> None:
    """The filters reach the authority."""
    workspace = cli.workspace()
    cli.issue("--workspace", workspace)
    here = ("audit", "list", "--workspace", workspace)
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    actions = [one["action"] for one in cli.json(*here)["entries"]]

    assert actions == ["KeyService.IssueKey", "WorkspaceService.CreateWorkspace"]
    assert cli.json(*here, "--until", soon)["entries"] == cli.json(*here)["entries"]
    assert cli.json(*here, "--since", soon) == {"entries": []}
    assert cli.json(*here, "--caller", "caller_1") == {"entries": []}


def test_list_shows_for_whom(cli: Cli, tmp_path: Path) -> None:
    """The person, by name if there is one, through the caller; and the filters for it."""
    workspace = cli.workspace()
    issue = cli.acting("console A", tmp_path / "console.token")
    named = issue(workspace, "person_1", "alice@example.com").key.id
    nameless = issue(workspace, "person_2", "").key.id
    here = ("audit", "list", "--workspace", workspace)

    first, second, third = (line.split() for line in cli.text(*here).splitlines()[1:])

    assert first[1:7] == ["person_2", "via", "console", "A", "key-issued", nameless]
    assert second[1:5] == ["alice@example.com", "via", "console", "A"]
    assert third[1] == "root"
    by_alice = cli.json(*here, "--person", "person_1")["entries"]
    assert [(one["subject"], one["person_name"]) for one in by_alice] == [
        (named, "alice@example.com")
    ]
    for created in (
        ("--action", "workspace-created"),
        ("--method", "WorkspaceService.CreateWorkspace"),
    ):
        listed = cli.json(*here, *created)["entries"]
        assert [one["subject"] for one in listed] == [workspace]
    only = ("--workspace", workspace, "--person", "person_2")
    exported = cli.text("audit", "export", *only).splitlines()
    assert [json.loads(line)["subject"] for line in exported] == [nameless]


def test_refused_attempts_are_marked(cli: Cli, tmp_path: Path) -> None:
    """What a caller tried and may not do is on record."""
    file = tmp_path / "curious.token"
    create = ("callers", "create", "curious", "--role", "verifier", "--token-file", str(file))
    caller = cli.json(*create)["caller"]["id"]
    cli.refusal("--token-file", str(file), "keys", "list")

    said = cli.text("audit", "list", "--caller", caller)

    assert " refused " in said


def test_export_writes_one_entry_a_line(cli: Cli, tmp_path: Path) -> None:
    """Every entry, newest first, on standard output or in a file that is its owner's alone."""
    workspace = cli.workspace()
    issued = [cli.issue("--workspace", workspace)[0] for _ in range(3)]
    export = ("audit", "export", "--workspace", workspace)
    file = tmp_path / "audit.jsonl"

    lines = cli.text(*export).splitlines()
    written = cli(*export, "--output", str(file))

    assert [json.loads(line)["subject"] for line in lines] == [*reversed(issued), workspace]
    assert file.read_text().splitlines() == lines
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (written.stdout, written.stderr) == ("", f"Wrote 4 entries to {file}.\n")
    assert list(tmp_path.iterdir()) == [file]


def test_export_goes_over_pages(cli: Cli) -> None:
    """An export is whole, however many entries there are."""
    workspace = cli.workspace()
    ids = [cli.issue("--workspace", workspace)[0] for _ in range(2)]
    for _ in range(50):
        for key_id in ids:
            cli.text("keys", "update", key_id, "--pause")
            cli.text("keys", "update", key_id, "--resume")

    assert len(cli.text("audit", "export", "--workspace", workspace).splitlines()) == 203


def test_export_as_json_is_one_document(cli: Cli, tmp_path: Path) -> None:
    """With --json there is one document, as with every other command."""
    workspace = cli.workspace()
    export = ("audit", "export", "--workspace", workspace)

    document = cli.json(*export)
    written = cli.json(*export, "--output", str(tmp_path / "audit.jsonl"))

    assert [one["subject"] for one in document["entries"]] == [workspace]
    assert written == {"entries": 1}


def test_export_that_fails_leaves_the_file_as_it_was(cli: Cli, tmp_path: Path) -> None:
    """A file is replaced by a whole export or not at all."""
    file = tmp_path / "audit.jsonl"
    file.write_text("yesterday's\n")
    export = ("audit", "export", "--output")

    unreachable = cli.refusal("--address", "unix:/nowhere", *export, str(file))
    nowhere = cli.refusal(*export, str(tmp_path / "no" / "audit.jsonl"))

    assert "no authority answers" in unreachable
    assert nowhere == f"cannot write {tmp_path}/no/audit.jsonl: No such file or directory"
    assert file.read_text() == "yesterday's\n"
    assert list(tmp_path.iterdir()) == [file]


def test_prune_deletes_the_old_and_keeps_the_young(tmp_path: Path) -> None:
    """Only entries older than told go; the pruning itself is on record."""
    with serving(tmp_path / "data") as cli:
        cli.workspace()

        assert cli.text("audit", "prune", "--older-than", "1d") == "Deleted 0 entries.\n"
        assert int(cli.json("audit", "prune", "--older-than", "0s")["deleted"]) > 0
        [entry] = cli.json("audit", "list")["entries"]

    assert entry["action"] == "AuditService.PruneAuditEntries"
