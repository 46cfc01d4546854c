"""The command itself: help, version, and output on any terminal."""

from __future__ import annotations

import os
import subprocess
import sys

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
