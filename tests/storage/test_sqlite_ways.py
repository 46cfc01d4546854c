"""How often SQLite's thread is gone to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import Claim, Head
from keyauthority.storage.sql.leases import GRANT
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite.driver import Driver
from keyauthority.storage.sqlite.unchanged import Unchanged
from tests.conformance.records import a_caller
from tests.observing import calls_of
from tests.storage.parts import on_driver
from tests.transactions import changing


@pytest.fixture
def ways() -> Iterator[list[Any]]:
    """What the threads were asked for."""
    with calls_of(Driver._execute) as calls:
        yield calls


async def verifiers(store: SqlStore) -> list[str]:
    """The sessions of three verifiers of one caller."""
    async with changing(store) as tx:
        await tx.callers.insert(a_caller("caller"))
    grants = [await store.sessions.join("caller", "v", Claim(0, 0)) for _ in range(3)]
    return [grant.session_id for grant in grants]


async def change(store: SqlStore) -> None:
    async with changing(store) as tx:
        await tx.feed.advance(["key_1"])


async def renew(store: SqlStore, sessions: list[str], head: Head) -> list[Any]:
    claim = Claim(head.epoch, head.revision)
    return await asyncio.gather(
        *(store.sessions.renew(session, "caller", claim) for session in sessions)
    )


async def test_a_transaction_is_one_way(store: SqlStore, ways: list[Any]) -> None:
    """However many statements it has, from its beginning to its commit."""

    async def work(tx: Transaction) -> None:
        await tx.feed.advance(["key_1"])
        assert await tx.workspaces.get("ws_1") is not None

    await store.change(work)
    await store.read(lambda tx: tx.workspaces.get("ws_1"))

    assert len(ways) == 2


async def test_what_all_ask_after_a_change_is_read_once(store: SqlStore, ways: list[Any]) -> None:
    """Together or one after the other; after the next change they hear of that."""
    sessions = await verifiers(store)
    head = (await store.snapshot([])).head
    for revision in (1, 2):
        await change(store)
        ways.clear()
        grants = await renew(store, sessions, head) + await renew(store, sessions[:1], head)

        assert [(grant.head.revision, grant.subjects) for grant in grants] == [
            (revision, ("key_1",))
        ] * 4
        assert len(ways) == 1
        head = grants[0].head


async def test_a_revoked_caller_gets_no_lease_from_what_was_read_before(store: SqlStore) -> None:
    """The next question is after the change."""
    sessions = await verifiers(store)
    head = (await store.snapshot([])).head
    await renew(store, sessions, head)
    async with changing(store) as tx:
        await tx.callers.update(a_caller("caller").revoked(tx.time))

    with pytest.raises(KeyAuthorityError) as refused:
        await renew(store, sessions, head)
    assert refused.value.reason is Reason.CREDENTIAL_INVALID


async def test_a_failure_is_not_remembered(store: SqlStore) -> None:
    """Who asks afterwards is answered."""
    sessions = await verifiers(store)
    head = (await store.snapshot([])).head
    await change(store)
    await on_driver(store, "BEGIN IMMEDIATE")
    with pytest.raises(KeyAuthorityError):
        await renew(store, sessions, head)
    await on_driver(store, "ROLLBACK")

    assert [grant.head.revision for grant in await renew(store, sessions, head)] == [1, 1, 1]


async def test_who_leaves_takes_the_answer_from_nobody(store: SqlStore) -> None:
    """The others that wait for it get it."""
    sessions = await verifiers(store)
    head = (await store.snapshot([])).head
    await change(store)
    claim = Claim(head.epoch, head.revision)
    first, second = (
        asyncio.create_task(store.sessions.renew(session, "caller", claim))
        for session in sessions[:2]
    )
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).head.revision == 1
    assert first.cancelled()


async def test_who_asks_during_a_change_hears_of_it(store: SqlStore) -> None:
    """A grant of the state before it could let a key be accepted that the change revokes."""
    sessions = await verifiers(store)
    head = (await store.snapshot([])).head
    await renew(store, sessions, head)
    async with changing(store) as tx:
        renewing = asyncio.create_task(renew(store, sessions, head))
        await tx.feed.advance(["key_1"])

    assert [grant.head.revision for grant in await renewing] == [1, 1, 1]


async def test_invented_claims_fill_no_memory(store: SqlStore, ways: list[Any]) -> None:
    """Only so many answers are kept, and the newest of them."""
    database: Any = store._database
    books = Unchanged(database, most=3)
    for revision in range(9):
        await books.read(GRANT, caller_id="caller", revision=revision)
    ways.clear()
    for revision in range(6, 9):
        await books.read(GRANT, caller_id="caller", revision=revision)

    assert not ways
    assert len(books._reads) == 3
