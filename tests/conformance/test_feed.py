"""The numbered changes."""

import asyncio

import pytest

from keyauthority.domain.ports import Store
from keyauthority.domain.sessions import Head
from tests.conformance.records import a_key, undone
from tests.transactions import changing, reading


async def advance(store: Store, *subjects: str) -> int:
    async with changing(store) as tx:
        return await tx.feed.advance(subjects)


async def since(store: Store, revision: int, limit: int = 1000) -> list[tuple[int, str]]:
    async with reading(store) as tx:
        return await tx.feed.since(revision, limit)


async def test_revisions_count_up_by_one(store: Store) -> None:
    """Changes are numbered from 1, and the head is the number of the last."""
    assert [await advance(store, subject) for subject in "abc"] == [1, 2, 3]

    assert (await store.snapshot([])).head == Head(1, 3)
    assert await since(store, 0) == [(1, "a"), (2, "b"), (3, "c")]


async def test_each_subject_gets_its_own_revision(store: Store) -> None:
    """Changes to several subjects are numbered in their order; the last number is returned."""
    await advance(store, "a")

    assert await advance(store, "b", "c", "b") == 4

    assert await since(store, 1) == [(2, "b"), (3, "c"), (4, "b")]


async def test_no_subjects_are_no_change(store: Store) -> None:
    """A change of nothing moves nothing and tells where the books are."""
    await advance(store, "a")

    assert await advance(store) == 1

    assert await since(store, 0) == [(1, "a")]


async def test_a_thousand_subjects(store: Store) -> None:
    """A thousand changes of one transaction are a thousand revisions."""
    subjects = [f"key_{n}" for n in range(1000)]

    assert await advance(store, *subjects) == 1000

    assert await since(store, 0) == list(enumerate(subjects, 1))


async def test_two_changes_to_one_subject_between_two_reads(store: Store) -> None:
    """A subject that changed twice is told twice, under both numbers."""
    await advance(store, "a")
    seen = (await since(store, 0))[-1][0]
    await advance(store, "a")
    await advance(store, "a")

    assert await since(store, seen) == [(2, "a"), (3, "a")]


@pytest.mark.parametrize(
    ("revision", "limit", "found"),
    [
        (0, 2, [(1, "a"), (2, "b")]),
        (1, 1, [(2, "b")]),
        (2, 10, [(3, "c")]),
        (3, 10, []),
        (99, 10, []),
    ],
)
async def test_reading_on_from_a_revision(
    store: Store, revision: int, limit: int, found: list[tuple[int, str]]
) -> None:
    """What follows a revision comes oldest first, and no more than asked for."""
    await advance(store, "a", "b", "c")

    assert await since(store, revision, limit) == found


async def test_a_change_undone_leaves_no_gap(store: Store) -> None:
    """The number of a change that was rolled back is given to the next one."""
    await advance(store, "a")
    async with undone(store) as tx:
        assert await tx.feed.advance(["lost", "lost"]) == 3

    assert await advance(store, "b") == 2
    assert await since(store, 0) == [(1, "a"), (2, "b")]


async def test_other_changes_do_not_move_it(store: Store) -> None:
    """Issuing a key moves no revision."""
    async with changing(store) as tx:
        await tx.keys.insert(a_key())

    assert (await store.snapshot(["key_1"])).head.revision == 0


async def test_every_returned_revision_is_observed(store: Store) -> None:
    """A reader that always asks for what follows sees each change once, in order, at once."""
    writers, rounds = 4, 15
    returned: list[int] = []
    observed: list[tuple[int, str]] = []

    async def write(name: str) -> None:
        for n in range(rounds):
            if n % 5 == 4:
                async with undone(store) as tx:
                    await tx.feed.advance(["lost"])
            revision = await advance(store, f"{name}{n}")
            returned.append(revision)
            assert (await store.snapshot([])).head.revision >= revision

    async def read() -> None:
        while len(observed) < writers * rounds:
            async with reading(store) as tx:
                head = await tx.feed.head()
                found = await tx.feed.since(len(observed), 7)
            observed.extend(found)
            assert len(observed) == head.revision or len(found) == 7
            await asyncio.sleep(0)

    await asyncio.gather(read(), *(write(name) for name in "abcd"))

    assert [revision for revision, _ in observed] == list(range(1, writers * rounds + 1))
    assert sorted(returned) == list(range(1, writers * rounds + 1))
    assert {subject for _, subject in observed} == {
        f"{name}{n}" for name in "abcd" for n in range(rounds)
    }


async def test_who_numbers_later_commits_later(store: Store) -> None:
    """While one change holds a number, another gets none: no reader sees the second alone."""
    numbered = asyncio.Event()
    go_on = asyncio.Event()

    async def first() -> int:
        async with changing(store) as tx:
            revision = await tx.feed.advance(["first"])
            numbered.set()
            await go_on.wait()
            return revision

    one = asyncio.create_task(first())
    await numbered.wait()
    two = asyncio.create_task(advance(store, "second"))
    await asyncio.sleep(0.02)
    assert not two.done()
    go_on.set()

    assert (await one, await two) == (1, 2)
    assert await since(store, 0) == [(1, "first"), (2, "second")]
