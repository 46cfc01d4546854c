from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.spender.authority import SpendingAuthority, serving


@pytest.fixture
async def authority() -> AsyncIterator[SpendingAuthority]:
    """An authority that keeps credits."""
    authority = SpendingAuthority()
    async with serving(authority):
        yield authority


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the spools."""
    folder = tmp_path / "spools"
    folder.mkdir(mode=0o700)
    return folder
