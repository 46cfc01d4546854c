"""All of a change, or nothing of it."""

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass

import pytest

from keyauthority.domain.auditing import AuditFilter
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import KeyFilter, Transaction
from tests.conformance.cancelling import at_every_await
from tests.conformance.records import a_caller, a_key, a_pepper, a_replay, an_entry, undone
from tests.transactions import changing, reading


async def counts(store: Store) -> tuple[int, ...]:
    """How much there is in the books, of each kind."""
    async with reading(store) as tx:
        return (
            len(await tx.keys.page(KeyFilter(), 10_000, None)),
            len(await tx.callers.page(10_000, None)),
            (await tx.feed.head()).revision,
            len(await tx.feed.since(0, 10_000)),
            len(await tx.audit.page(AuditFilter(), 10_000, None)),
        )


async def write(store: Store, name: str) -> None:
    """One change that touches everything that is counted."""

    async def work(tx: Transaction) -> None:
        await tx.keys.insert(a_key(f"key_{name}"))
        await tx.callers.insert(a_caller(f"caller_{name}"))
        await tx.feed.advance([f"key_{name}"])
        await tx.audit.append([an_entry(subject=f"key_{name}")])

    await store.change(work)


async def test_a_change_is_kept(store: Store) -> None:
    """What a block did is there when it has ended."""
    await write(store, "1")

    assert await counts(store) == (1, 1, 1, 1, 1)


async def test_an_exception_leaves_nothing(store: Store) -> None:
    """An exception in the block passes through and takes all that was done with it."""
    async with undone(store) as tx:
        await tx.keys.insert(a_key())
        await tx.callers.insert(a_caller())
        await tx.feed.advance(["key_1"])
        await tx.audit.append([an_entry()])
        await tx.peppers.put(a_pepper())
        await tx.replays.put(a_replay())

    assert await counts(store) == (0, 0, 0, 0, 0)
    async with reading(store) as tx:
        assert await tx.peppers.all() == []
        assert await tx.replays.get("caller_1", "request-1") is None


async def test_a_reading_transaction_changes_nothing(store: Store) -> None:
    """What is written in a transaction opened to read is gone when it ends."""
    async with reading(store) as tx:
        await tx.keys.insert(a_key())

    assert await counts(store) == (0, 0, 0, 0, 0)


async def test_a_change_cancelled_at_any_await_is_whole_or_not_there(store: Store) -> None:
    """Wherever a change is cancelled, it was made or it wasn't, and the next one can be made."""
    names = map(str, itertools.count())

    async def work() -> None:
        await write(store, next(names))

    async def after() -> None:
        assert len(set(await counts(store))) == 1
        before = await counts(store)
        await write(store, next(names))
        assert await counts(store) == tuple(count + 1 for count in before)

    await at_every_await(work, after)


async def test_a_read_cancelled_at_any_await_does_no_harm(store: Store) -> None:
    """Wherever reads are cancelled, the books stay usable and closed to nobody."""
    names = map(str, itertools.count())

    async def work() -> None:
        await store.snapshot(["key_1"])
        await store.caller("caller_1")
        await store.read(lambda tx: tx.keys.get(["key_1"]))
        await asyncio.sleep(0)

    async def after() -> None:
        await write(store, next(names))

    assert await at_every_await(work, after) > 0


async def test_cancelling_one_who_waits_his_turn(store: Store) -> None:
    """Who is cancelled while another changes the books holds up nobody; his is whole or not there."""
    async with changing(store) as tx:
        waiting = [asyncio.create_task(write(store, str(n))) for n in range(3)]
        await asyncio.sleep(0.01)
        waiting[1].cancel()
        await tx.audit.append([an_entry()])
    await asyncio.wait(waiting)

    assert [task.cancelled() for task in waiting] == [False, True, False]
    made, *others, entries = await counts(store)
    assert made in (2, 3)
    assert (others, entries) == ([made] * 3, made + 1)


@dataclass
class Twice:
    """Cancels the task around it as often as it is awaited."""

    work: Awaitable[None]

    async def run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        for moment in range(20):
            loop.call_later(moment / 5000, task.cancel)
        await self.work


async def test_a_change_cancelled_again_and_again(store: Store) -> None:
    """Cancelling more than once, also while the first one is being cleaned up, does no harm."""
    for n in range(10):
        task = asyncio.create_task(Twice(write(store, f"twice_{n}")).run())
        await asyncio.wait({task})
        assert len(set(await counts(store))) == 1
    await write(store, "last")


async def test_an_error_within_is_raised_and_leaves_nothing(store: Store) -> None:
    """A refused write raises, and with it the whole block is undone."""
    async with changing(store) as tx:
        await tx.callers.insert(a_caller("caller_1", name="billing"))

    async def refused() -> None:
        async with changing(store) as tx:
            await tx.keys.insert(a_key())
            await tx.callers.insert(a_caller("caller_2", name="billing"))

    with pytest.raises(KeyAuthorityError) as refusal:
        await refused()

    assert refusal.value.reason is Reason.CALLER_NAME_TAKEN
    assert await counts(store) == (0, 1, 0, 0, 0)
