from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession, ClientTimeout

from console.oidc import provider_session
from console.oidc.fetch import TIMEOUT
from tests.console.oidc.crooked_provider import CrookedProvider, crooked_provider_serving
from tests.console.oidc.provider_process import oidc_provider
from tests.console.oidc.signing_in import SignIn
from tests.console.people.parts import ManualClock

__all__ = ["oidc_provider"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def patience() -> ClientTimeout:
    """How long the provider may take to answer."""
    return TIMEOUT


@pytest.fixture
async def session(patience: ClientTimeout) -> AsyncIterator[ClientSession]:
    async with provider_session(patience) as session:
        yield session


@pytest.fixture
async def crooked(clock: ManualClock) -> AsyncIterator[CrookedProvider]:
    async with crooked_provider_serving(clock) as crooked:
        yield crooked


@pytest.fixture
def sign_in(
    crooked: CrookedProvider,
    session: ClientSession,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> SignIn:
    caplog.set_level("DEBUG")
    return SignIn(crooked, session, clock, caplog)
