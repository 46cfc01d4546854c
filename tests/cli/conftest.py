from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.parts import Cli, serving


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """The command line and one authority for all of these tests: each makes its own workspace."""
    with serving(tmp_path_factory.mktemp("authority") / "data") as cli:
        yield cli


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the person who runs the tests has set must not reach the commands under test.
    for name in ("ADDRESS", "DATA_DIR", "TOKEN_FILE", "TLS_CA", "TIMEOUT", "DATABASE"):
        monkeypatch.delenv(f"KEYAUTHORITY_{name}", raising=False)
