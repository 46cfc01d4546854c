"""What `make test` says at its start and at its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest

@pytest.mark.parametrize("one", range(3))
def test_that_needs_something(one):
    pytest.skip("needs a sundial: build one")

def test_that_needs_something_else():
    pytest.skip("needs the sun: wait for it")

def test_that_needs_nothing():
    pass
"""


def test_what_was_skipped_is_said_a_line_a_reason(tmp_path: Path) -> None:
    """With how many tests that are, the most first; the closing line stays the last."""
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(tmp_path)]
    ended = subprocess.run(
        [*command, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )

    *_, heading, first, second, closing = ended.stdout.splitlines()
    assert "skipped, and what would bring it" in heading
    assert [first, second] == [
        "    3 needs a sundial: build one",
        "    1 needs the sun: wait for it",
    ]
    assert "1 passed, 4 skipped in " in closing


def test_how_long_it_takes_is_said_before_it_begins() -> None:
    """And how to run a part, unless a part is run."""
    every, some = (
        subprocess.run(
            ["make", "--dry-run", "--always-make", "test", *arguments],
            cwd=ROOT,
            # Not what the `make` that runs these tests was given.
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for arguments in ((), ("ARGS=-k bearer",))
    )

    hint = "some of them: make test ARGS="
    assert every.index(hint) < every.index("-m pytest")
    assert hint not in some
