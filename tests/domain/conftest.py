"""The use cases over books in memory and a keyring in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyauthority.domain.callers import Actor
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import ManualClock, a_workspace
from tests.domain.parts import CountingKeyring, UseCases, an_actor, put_peppers, put_workspaces


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def keyring(tmp_path: Path) -> CountingKeyring:
    path = tmp_path / "keyring.json"
    CountingKeyring.create(path)
    loaded = CountingKeyring.load(path)
    assert isinstance(loaded, CountingKeyring)
    return loaded


@pytest.fixture
async def store(clock: ManualClock, keyring: CountingKeyring) -> MemoryStore:
    """Books with a pepper and the workspaces `ws_1` and `ws_2`."""
    store = MemoryStore(clock)
    await put_peppers(store, keyring)
    await put_workspaces(store, [a_workspace(), a_workspace("ws_2", name="umbrella")])
    return store


@pytest.fixture
def cases(store: MemoryStore, keyring: CountingKeyring) -> UseCases:
    return UseCases(store, keyring)


@pytest.fixture
def actor() -> Actor:
    """An issuer for all workspaces."""
    return an_actor()
