from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.authority import Authority, running_authority


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def asked(folder: Path) -> Iterator[Authority]:
    with running_authority(folder / "data", folder) as running:
        yield running


@pytest.fixture(scope="module")
def secrets(asked: Authority) -> list[str]:
    return [secret for _, secret in asked.issue(3, asked.create_workspace())]
