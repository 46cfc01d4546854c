"""The commands where only the base is installed, or another extra than they need."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules[{missing!r}] = None  # as if it were not installed
sys.argv = [{command!r}, *{arguments!r}]
from keyauthority import programs
getattr(programs, {program!r})()
"""


@pytest.mark.parametrize(
    ("program", "command", "missing", "arguments", "extra"),
    [
        ("keyauthority", "keyauthority", "click", ["--help"], "server"),
        ("keyauthority", "keyauthority", "sqlalchemy", ["serve"], "server"),
        ("gateway", "keyauthority-gateway", "uvloop", ["--help"], "gateway"),
        ("console", "keyauthority-console", "uvloop", ["--help"], "console"),
    ],
)
def test_a_command_names_the_extra_that_it_needs(
    program: str, command: str, missing: str, arguments: list[str], extra: str
) -> None:
    """In one sentence, with what to type."""
    code = WITHOUT.format(missing=missing, command=command, arguments=arguments, program=program)

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"{command}: the package {missing} is missing: "
        f"pip install 'opentoken-keyauthority[{extra}]'\n"
    )


def test_the_client_needs_the_base_alone() -> None:
    """What a service imports loads no package of an extra."""
    code = """
import sys
import keyauthority.client.admin
extras = {"click", "aiohttp", "sqlalchemy", "structlog", "cryptography", "prometheus_client"}
assert not extras & set(sys.modules), extras & set(sys.modules)
"""

    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
