"""What people see on a terminal: colours, its width, progress; and how a shell completes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.parts import PATIENCE, Cli

NARROW, WIDE = 72, 300


def on_terminal(cli: Cli, columns: int, *arguments: str, **variables: str) -> str:
    """What a terminal of so many columns gets."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8", **variables}
    process = cli.start(*arguments, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b"".join(_read(ours))
    os.close(ours)
    assert process.wait(PATIENCE) == 0, shown
    return shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # Linux says so at the end.
            return
        if not data:
            return
        yield data


@pytest.fixture(scope="module")
def workspace(cli: Cli) -> str:
    workspace = cli.workspace()
    name = "a name that is far too long for a narrow terminal, as names of people's keys are"
    cli.text("keys", "issue", "--workspace", workspace, "--name", name)
    return workspace


def test_a_narrow_terminal_cuts_names_and_never_ids(cli: Cli, workspace: str) -> None:
    """States have their colour, headings are bold; a wide one has the whole."""
    listing = ("keys", "list", "--workspace", workspace)
    narrow, wide = (on_terminal(cli, columns, *listing) for columns in (NARROW, WIDE))

    row = narrow.splitlines()[1]
    assert re.search(r"a name th…  ws_\w{16}  ", row)
    assert workspace in row
    assert "\x1b[32mactive\x1b[0m" in row
    assert narrow.startswith("\x1b[1mID ")
    assert "as names of people's keys are" in wide


def test_who_wants_no_colour_gets_none(cli: Cli, workspace: str) -> None:
    """NO_COLOR is heeded."""
    listing = ("keys", "list", "--workspace", workspace)

    assert "\x1b" not in on_terminal(cli, WIDE, *listing, NO_COLOR="1")


def test_progress_is_for_terminals(cli: Cli, tmp_path: Path) -> None:
    """A bar counts; without a terminal nothing does."""
    output = ("audit", "export", "--output", str(tmp_path / "audit.jsonl"))

    assert "Entries" in on_terminal(cli, WIDE, *output)
    assert "Entries" not in on_terminal(cli, WIDE, *output, "--quiet")
    assert cli(*output).stderr.startswith("Wrote ")


@pytest.mark.parametrize(
    ("words", "completed"),
    [("work", {"workspaces"}), ("keys li", {"list"}), ("keys list --expi", {"--expiring"})],
)
def test_shells_complete(words: str, completed: set[str]) -> None:
    """Commands, and options of commands, by what click asks the program."""
    environment = {
        **os.environ,
        "_KEYAUTHORITY_COMPLETE": "bash_complete",
        "COMP_WORDS": f"keyauthority {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    command = [sys.executable, "-m", "keyauthority"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert {line.partition(",")[2] for line in done.stdout.split()} == completed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed(cli: Cli, shell: str) -> None:
    """It asks this program."""
    assert f"_KEYAUTHORITY_COMPLETE={shell}_complete" in cli.text("completion", shell)
