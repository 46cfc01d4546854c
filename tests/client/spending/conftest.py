"""The folder that the spools of a test are in."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that only this user may write to."""
    folder = tmp_path / "spools"
    folder.mkdir(mode=0o700)
    return folder
