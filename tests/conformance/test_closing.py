"""After the end, and across it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ports import Store
from tests.conformance.conftest import Opener
from tests.conformance.records import ManualClock, UndoError
from tests.transactions import changing, reading


async def change(store: Store) -> None:
    async with changing(store):
        pass


async def read(store: Store) -> None:
    async with reading(store):
        pass


async def snapshot(store: Store) -> None:
    await store.snapshot(["key_1"])


async def caller(store: Store) -> None:
    await store.caller("caller_1")


@pytest.mark.parametrize("use", [change, read, snapshot, caller])
async def test_use_after_close_is_an_outage(
    opener: Opener, tmp_path: Path, clock: ManualClock, use: Callable[[Store], Awaitable[None]]
) -> None:
    """A closed store says that it can't be used, and never that a key does not exist."""
    async with opener(tmp_path, clock) as store:
        await use(store)

    with pytest.raises(KeyAuthorityError) as refusal:
        await use(store)

    assert refusal.value.reason is Reason.STORE_UNAVAILABLE
    assert refusal.value.message == "the database is closed"


async def test_a_block_that_raises_closes_too(
    opener: Opener, tmp_path: Path, clock: ManualClock
) -> None:
    """Whatever ends the use of a store, it is closed, and can be opened again."""
    with pytest.raises(UndoError):  # noqa: PT012  # what raises is the end of the block
        async with opener(tmp_path, clock) as store:
            await store.snapshot([])
            raise UndoError
    with pytest.raises(KeyAuthorityError):
        await store.snapshot([])

    async with opener(tmp_path, clock) as store:
        await store.snapshot([])
