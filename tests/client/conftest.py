from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.client.parts import ScriptedAuthority
from tests.gateway.parts import serving


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedAuthority]:
    """An authority that says what the test wants."""
    authority = ScriptedAuthority()
    async with serving(authority):
        yield authority
        authority.door.set()
