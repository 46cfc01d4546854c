"""Changes that wait go together: one transaction, and a savepoint for each."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from keyauthority.domain.auditing import AuditFilter
from keyauthority.domain.books import TIME, TOGETHER, Books, Change
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import Transaction
from keyauthority.storage.errors import unavailable
from tests.conformance.records import UndoError, a_caller, a_key, a_workspace
from tests.domain.parts import RecordingFence, an_actor
from tests.transactions import changing

PAUSED = Fact(Action.KEY_PAUSED)


class OneAtATime:
    """A store that makes one change at a time and counts them; `fail` decides about each commit."""

    changes_at_once = 1

    def __init__(self, store: Store) -> None:
        self._store = store
        self.changes = 0
        self.fail: Callable[[], Exception | None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def change(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        self.changes += 1

        async def failing(tx: Transaction) -> Any:
            result = await work(tx)
            if (failure := self.fail()) is not None:
                raise failure
            return result

        return await self._store.change(failing)


@pytest.fixture
def counted(store: Store) -> OneAtATime:
    return OneAtATime(store)


@pytest.fixture
def fence(store: Store) -> RecordingFence:
    return RecordingFence(store)


@pytest.fixture
def books(counted: OneAtATime, fence: RecordingFence) -> Books:
    return Books(counted, fence, lambda: 0.0)


def altering(subject: str, failure: Exception | None = None) -> Callable[[Change], Awaitable[str]]:
    """A work that inserts a key, says that verdicts may have changed, and may fail after that."""

    async def work(change: Change) -> str:
        await change.tx.keys.insert(a_key(subject))
        change.alters(subject, "ws_1", PAUSED)
        if failure is not None:
            raise failure
        return subject

    return work


async def together(*calls: Awaitable[Any]) -> list[Any]:
    """What becomes of *calls*, which come in one step, so that they wait together."""
    return await asyncio.gather(*calls, return_exceptions=True)


async def made(store: Store) -> tuple[list[str], int, list[tuple[int, str]], list[tuple[int, str]]]:
    """The keys, the revision, the subjects in the feed and those in the audit, with revisions."""

    async def work(tx: Transaction) -> Any:
        ids = [f"key_{n}" for n in range(200)]
        entries = await tx.audit.page(AuditFilter(), 500, None)
        return (
            sorted(await tx.keys.get(ids), key=lambda key_id: int(key_id[4:])),
            (await tx.feed.head()).revision,
            await tx.feed.since(0, 500),
            [(entry.revision, entry.subject) for entry in reversed(entries)],
        )

    result: tuple[Any, Any, Any, Any] = await store.read(work)
    return result


async def test_what_waits_is_one_transaction(
    store: Store, counted: OneAtATime, books: Books, fence: RecordingFence
) -> None:
    """Each has its own revision, entry and receipt, in the order in which they came."""
    actor = an_actor()
    outcomes = await together(*(books.change(actor, altering(f"key_{n}")) for n in range(9)))

    assert counted.changes == 1
    assert [(result, receipt.revision) for result, receipt in outcomes] == [
        (f"key_{n}", n + 1) for n in range(9)
    ]
    subjects = [(n + 1, f"key_{n}") for n in range(9)]
    assert await made(store) == ([f"key_{n}" for n in range(9)], 9, subjects, subjects)
    assert sorted(fence.asked) == list(range(1, 10))
    assert all(durable >= asked for asked, durable in zip(fence.asked, fence.durable, strict=True))


@pytest.mark.parametrize("failure", [UndoError(), unavailable("away")])
async def test_one_that_fails_takes_nothing_with_it(
    store: Store, counted: OneAtATime, books: Books, failure: Exception
) -> None:
    """It leaves no key, no revision and no entry; the others have theirs without gaps."""
    actor = an_actor()
    outcomes = await together(
        books.change(actor, altering("key_0")),
        books.change(actor, altering("key_1")),
        books.change(actor, altering("key_2", failure)),
        books.change(actor, altering("key_3")),
    )

    assert outcomes[2] is failure
    assert [outcomes[n][1].revision for n in (0, 1, 3)] == [1, 2, 3]
    subjects = [(1, "key_0"), (2, "key_1"), (3, "key_3")]
    assert await made(store) == (["key_0", "key_1", "key_3"], 3, subjects, subjects)


async def test_a_refused_statement_spoils_only_its_own(store: Store, books: Books) -> None:
    """What the database itself refuses is rolled back like the rest."""
    async with changing(store) as tx:
        await tx.callers.insert(a_caller("caller_1", name="billing"))

    async def refused(change: Change) -> None:
        await change.tx.workspaces.insert(a_workspace("ws_9"))
        await change.tx.callers.insert(a_caller("caller_2", name="billing"))

    outcomes = await together(
        books.change(an_actor(), altering("key_0")),
        books.record(an_actor(), refused),
        books.change(an_actor(), altering("key_1")),
    )

    assert isinstance(outcomes[1], KeyAuthorityError)
    assert outcomes[1].reason is Reason.CALLER_NAME_TAKEN
    assert [outcomes[n][1].revision for n in (0, 2)] == [1, 2]
    assert await books.read(lambda tx: tx.workspaces.get("ws_9")) is None


async def test_a_commit_that_fails_is_tried_for_each_alone(
    store: Store, counted: OneAtATime, books: Books
) -> None:
    """For all that anybody knows, one of them is the cause."""
    counted.fail = lambda: UndoError() if counted.changes == 1 else None
    outcomes = await together(*(books.change(an_actor(), altering(f"key_{n}")) for n in range(4)))

    assert [receipt.revision for _, receipt in outcomes] == [1, 2, 3, 4]
    assert counted.changes == 5
    assert len((await made(store))[2]) == 4


async def test_an_outage_at_the_commit_is_everybodys(
    store: Store, counted: OneAtATime, books: Books, fence: RecordingFence
) -> None:
    """None is made, none is tried again, and no verifier hears of any."""
    counted.fail = lambda: unavailable("away") if counted.changes == 1 else None
    outcomes = await together(*(books.change(an_actor(), altering(f"key_{n}")) for n in range(4)))

    assert [type(one) for one in outcomes] == [KeyAuthorityError] * 4
    assert counted.changes == 1
    assert (fence.asked, fence.announced) == ([], [])
    assert (await made(store))[0] == []


async def test_what_alters_nothing_waits_for_all_before_it(
    store: Store, books: Books, fence: RecordingFence
) -> None:
    """The second of two equal revocations in one batch is in force no sooner than the first."""

    async def nothing(_: Change) -> None:
        pass

    outcomes = await together(
        books.change(an_actor(), altering("key_0")),
        books.change(an_actor(), altering("key_1")),
        books.change(an_actor(), nothing),
    )

    assert [receipt.revision for _, receipt in outcomes] == [1, 2, 2]
    _, receipt = await books.change(an_actor(), nothing)
    assert receipt.revision == 2


async def test_batches_are_bounded(counted: OneAtATime, books: Books) -> None:
    """By how many records they are about; what is about more goes alone."""
    calls = [books.change(an_actor(), altering(f"key_{n}")) for n in range(TOGETHER + 2)]
    large = books.change(an_actor(), altering("key_199"), size=TOGETHER + 1)
    outcomes = await together(*calls, large)

    assert not [one for one in outcomes if isinstance(one, Exception)]
    assert counted.changes == 3


async def test_a_slow_one_ends_the_batch(counted: OneAtATime, fence: RecordingFence) -> None:
    """Those behind it are of the next transaction: what is done is committed soon."""
    now = 0.0
    books = Books(counted, fence, lambda: now)

    async def slow(change: Change) -> None:
        nonlocal now
        now += 2 * TIME
        change.alters("key_0", "ws_1", PAUSED)

    outcomes = await together(
        books.change(an_actor(), altering("key_0")),
        books.change(an_actor(), altering("key_1")),
        books.change(an_actor(), slow),
        books.change(an_actor(), altering("key_2")),
    )

    assert [receipt.revision for _, receipt in outcomes] == [1, 2, 3, 4]
    assert counted.changes == 2


async def undone(tx: Transaction) -> None:
    async with tx.savepoint():
        await tx.keys.insert(a_key("key_2"))
        await tx.feed.advance(["key_2"])
        raise UndoError


async def test_a_savepoint_undoes_its_block_and_nothing_else(store: Store) -> None:
    """Whatever it did, and whatever came before or comes after in the transaction."""

    async def work(tx: Transaction) -> int:
        await tx.keys.insert(a_key("key_1"))
        with pytest.raises(UndoError):
            await undone(tx)
        async with tx.savepoint():
            await tx.keys.insert(a_key("key_3"))
        return await tx.feed.advance(["key_1"])

    assert await store.change(work) == 1
    assert await made(store) == (["key_1", "key_3"], 1, [(1, "key_1")], [])


async def test_a_mistake_in_a_savepoint_is_undone(store: Store) -> None:
    """A broken constraint, too: what follows goes on."""
    if not hasattr(store, "_database"):
        pytest.skip("books in memory have no constraints")

    async def work(tx: Transaction) -> None:
        with pytest.raises((sqlite3.IntegrityError, asyncpg.IntegrityConstraintViolationError)):
            async with tx.savepoint():
                await tx.keys.insert(a_key("key_1", workspace_id="ws_nowhere"))
        await tx.keys.insert(a_key("key_2"))

    await store.change(work)
    assert (await made(store))[0] == ["key_2"]


async def test_a_transaction_is_undone_with_its_savepoints(store: Store) -> None:
    """A savepoint that was ended is no commit."""

    async def work(tx: Transaction) -> None:
        async with tx.savepoint():
            await tx.keys.insert(a_key("key_1"))
        raise UndoError

    with pytest.raises(UndoError):
        await store.change(work)
    assert (await made(store))[0] == []
