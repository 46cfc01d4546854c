"""The command itself: help, version, and output on any terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from keyauthority.cli.root import GROUPS, root
from tests.cli.parts import PATIENCE, Cli

LOADED = """
import sys
from keyauthority.cli import main
try:
    main()
finally:
    heavy = {"grpc", "google.protobuf", "sqlalchemy", "structlog"} & set(sys.modules)
    assert not heavy, heavy
"""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_loads_nothing_heavy(option: str) -> None:
    """Asking what there is answers at once: no gRPC, no database."""
    command = [sys.executable, "-c", LOADED, option]

    asked = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (asked.returncode, asked.stderr) == (0, "")


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_explains_itself(group: str) -> None:
    """What the list of groups promises is there."""
    asked = CliRunner().invoke(root, [group, "--help"])

    assert asked.exit_code == 0
    assert f"keyauthority {group} [OPTIONS]" in asked.stdout.replace("root", "keyauthority", 1)


def test_an_unknown_group_is_a_usage_error(cli: Cli) -> None:
    """The name that isn't one is repeated."""
    assert "'nonsense'" in cli.refusal("nonsense", exit_code=2)


def test_a_terminal_without_unicode_costs_no_secret(cli: Cli) -> None:
    """A name that the terminal can't show is escaped; the secret beside it comes through."""
    workspace = cli.workspace()
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    issue = ("keys", "issue", "--workspace", workspace, "--name", "열쇠")
    process = cli.start(*issue, env=environment)

    stdout, stderr = process.communicate(timeout=PATIENCE)

    assert (process.returncode, stderr) == (0, "")
    assert "sk-optk-" in stdout
    assert "\\uc5f4" in stdout


@pytest.mark.parametrize("at", range(4))
def test_the_form_of_the_answer_is_said_anywhere(cli: Cli, at: int) -> None:
    """Before the group, after it, after the command and at the end; --quiet likewise."""
    words = ["workspaces", "list", "--limit=1"]
    as_json, quiet = words.copy(), words.copy()
    as_json.insert(at, "--json")
    quiet.insert(at, "-q")
    workspace = cli.workspace()

    assert json.loads(cli.text(*as_json))["workspaces"][0]["id"] == workspace
    result = cli(*quiet)
    assert (result.stdout, result.stderr) == (f"{workspace}\n", "")


def test_the_authority_is_named_anywhere(cli: Cli, tmp_path: Path) -> None:
    """The last word counts; an option of the command of the same name is the command's."""
    nowhere = Cli("127.0.0.1:1", tmp_path)
    here = ("--address", cli.address, "--data-dir", str(cli.data_dir))
    token_file = tmp_path / "new.token"

    assert nowhere("workspaces", "list", *here).exit_code == 0
    created = ("callers", "create", "anywhere", "--role", "issuer", *here)
    assert nowhere(*created, "--token-file", str(token_file)).exit_code == 0
    assert token_file.read_text().startswith("optk-svc-")


def test_quiet_prints_what_the_next_command_needs(cli: Cli) -> None:
    """An id, a secret, an amount; and nothing where the exit code says it all."""
    workspace = cli.text("workspaces", "create", "-q", "quiet").strip()
    secret = cli.text("keys", "issue", "-q", "--workspace", workspace, "--name", "k").strip()
    key = cli.text("keys", "list", "-q", "--workspace", workspace).strip()

    assert (workspace[:3], key[:4], secret[:8]) == ("ws_", "key_", "sk-optk-")
    assert cli.text("verify", "-q", stdin=secret) == ""
    assert cli.text("keys", "rotate", "-q", key).startswith("sk-optk-")
    assert cli.text("keys", "revoke", "-q", key) == ""
    assert cli("verify", "-q", stdin=secret).exit_code == 1


def test_errors_are_documents_for_programs(cli: Cli) -> None:
    """By a code of gRPC and the authority's reason, or of ours; usage is told apart."""
    unknown = cli.error("keys", "get", "key_1")
    usage = cli.error("keys", "list", "--nonsense", exit_code=2)
    local = cli.error("--token-file", "/no/token", "keys", "list")
    unanswered = cli.error("keys", "list", "--address", "127.0.0.1:1")

    assert unknown.pop("request_id")
    assert unknown == {
        "message": "no such key: key_1",
        "code": "NOT_FOUND",
        "reason": "KEY_NOT_FOUND",
        "metadata": {"key_id": "key_1"},
        "exit_code": 1,
    }
    assert (usage["code"], local["code"]) == ("USAGE", "FAILED")
    assert "--nonsense" in usage["message"]
    assert unanswered["code"] == "UNAVAILABLE"


@pytest.mark.parametrize("group", ["keys", "db"])
def test_a_missing_command_is_an_error_for_programs(cli: Cli, group: str) -> None:
    """People read the help there."""
    assert cli.error(group, exit_code=2) == {
        "message": "Missing command.",
        "code": "USAGE",
        "exit_code": 2,
    }
    assert "Commands:" in cli(group).stderr


def test_what_is_not_parsed_is_no_option(cli: Cli) -> None:
    """After two dashes nothing is one, and the value of an option is not."""
    workspace = cli.text("workspaces", "create", "-q", "--", "--json").strip()
    noted = cli("keys", "revoke", "key_1", "--note", "--quiet")

    assert cli.json("workspaces", "get", workspace)["workspace"]["name"] == "--json"
    assert noted.stderr == "Error: no such key: key_1\n"
