"""`make story`: two gateways and two revoked keys, one of them while a gateway is frozen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from demo.settings import DemoError
from demo.story import Story, tell
from keyauthority.client.admin import Changed, Key, KeySettings, KeyState
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.sessions import Receipt
from tests.e2e.running_demo import processes_of

README = Path(__file__).parents[2] / "README.md"
MARGIN = 3.0
"""Seconds that a busy machine may add to a wait."""


def steady(transcript: str) -> str:
    """Without the numbers that no two runs share."""
    return re.sub(r"(?:key|ws)_\w+|revision \d+|\d+ ms", "…", transcript).strip()


def test_the_story_goes_as_told(tmp_path: Path) -> None:
    """It says who confirmed, what was waited out and what each gateway answered; README shows it.

    Nothing of it is left, and an authority that the environment names is not touched.
    """
    elsewhere = {
        "KEYAUTHORITY_DATABASE": "postgresql://127.0.0.1:1/x",
        "GATEWAY_BILLING": "enforce",
    }
    environment = {**os.environ, **elsewhere, "TMPDIR": str(tmp_path)}

    told = subprocess.run(
        [sys.executable, "-m", "demo.story"],
        env=environment,
        cwd=README.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )

    assert told.returncode == 0, told.stdout + told.stderr
    # The authority's own cache is a verifier too.
    assert re.search(r"revision \d+: confirmed by 3 verifiers, \d+ ms\.", told.stdout)
    waited = re.search(r"confirmed by 2 verifiers, 1 lease waited out, (\d+) ms\.", told.stdout)
    assert waited
    assert int(waited[1]) / 1000 < wait_out(timedelta(seconds=3)) + MARGIN
    answers = re.findall(r"gateway (\w): (.*)", told.stdout)
    assert answers == [
        ("A", "first 200, second 200"),
        ("B", "first 200, second 200"),
        ("A", "first 401, second 200"),
        ("B", "first 401, second 200"),
        ("A", "second 401"),
        ("B", "second 401"),
    ]
    assert steady(told.stdout) in steady(README.read_text())
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


class Unfrozen:
    """A story whose B was not there any more when the second key was revoked."""

    def __init__(self) -> None:
        self._revoked: set[str] = set()

    def wait_for_verifiers(self) -> None:
        """They are there."""

    def freeze(self, gateway: str) -> None:
        """Too late."""

    def revoke(self, key: str) -> Changed[Key]:
        """Nobody's lease has to be waited out."""
        self._revoked.add(key)
        now = datetime.now(UTC)
        record = Key(
            *("key_1", "ws_1", KeySettings(key), KeyState.REVOKED, (), now, now, None, "1", None)
        )
        return Changed(record, Receipt(2, sessions_acknowledged=2))

    def answer(self, gateway: str, key: str, *, thaw: bool = False) -> int:
        """As promised."""
        return 401 if key in self._revoked else 200


def test_a_story_in_which_nothing_was_waited_for_is_not_told_to_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What did not happen is an error, not a sentence."""
    story = Unfrozen()

    with pytest.raises(DemoError, match="no lease was waited out"):
        tell(cast(Story, story))

    assert "When a revocation returns" not in capsys.readouterr().out
