"""The use cases over books in memory and a keyring in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyauthority.domain.callers import Actor
from tests.conformance.records import ManualClock, a_workspace
from tests.domain.parts import (
    CountingKeyring,
    UseCases,
    WatchedStore,
    an_actor,
    put_peppers,
    put_workspaces,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def keyring_file(tmp_path: Path) -> Path:
    """The keyring's file, which `keyring` makes."""
    return tmp_path / "keyring.json"


@pytest.fixture
def keyring(keyring_file: Path) -> CountingKeyring:
    CountingKeyring.create(keyring_file)
    loaded = CountingKeyring.load(keyring_file)
    assert isinstance(loaded, CountingKeyring)
    return loaded


@pytest.fixture
async def store(clock: ManualClock, keyring: CountingKeyring) -> WatchedStore:
    """Books with a pepper and the workspaces `ws_1` and `ws_2`."""
    store = WatchedStore(clock)
    await put_peppers(store, keyring)
    await put_workspaces(store, [a_workspace(), a_workspace("ws_2", name="umbrella")])
    return store


@pytest.fixture
def cases(store: WatchedStore, keyring: CountingKeyring) -> UseCases:
    return UseCases(store, keyring)


@pytest.fixture
def actor() -> Actor:
    """An issuer for all workspaces."""
    return an_actor()
