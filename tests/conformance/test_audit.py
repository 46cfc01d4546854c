"""The audit log."""

import pytest

from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.facts import Action
from keyauthority.domain.ports import Store
from tests.conformance.records import DAY, MICROSECOND, SECOND, START, an_entry
from tests.transactions import changing, reading


async def append(store: Store, *entries: AuditEntry) -> None:
    async with changing(store) as tx:
        await tx.audit.append(entries)


async def page(
    store: Store, which: AuditFilter | None = None, limit: int = 100, before: int | None = None
) -> list[AuditEntry]:
    async with reading(store) as tx:
        return await tx.audit.page(which or AuditFilter(), limit, before)


async def test_an_entry_comes_back_with_an_id(store: Store) -> None:
    """Every field survives; the log gives the id."""
    entry = an_entry(
        time=START + MICROSECOND,
        caller_name="Bücher",
        refused=True,
        details={"name": "ключ \"'", "": ""},
        revision=2**40,
        person_id="person_1",
        person_name="김하나",
    )
    await append(store, entry)

    (found,) = await page(store)

    assert found.id > 0
    assert found == an_entry(
        id=found.id,
        time=START + MICROSECOND,
        caller_name="Bücher",
        refused=True,
        details={"name": "ключ \"'", "": ""},
        revision=2**40,
        person_id="person_1",
        person_name="김하나",
    )


async def test_ids_grow(store: Store) -> None:
    """Entries are numbered in their order, and listed from the newest."""
    await append(store, an_entry(subject="a"), an_entry(subject="b"))
    await append(store)
    await append(store, an_entry(subject="c"))

    found = await page(store)

    assert [entry.subject for entry in found] == ["c", "b", "a"]
    assert found[0].id > found[1].id > found[2].id


async def test_pages(store: Store) -> None:
    """A page goes on below the id that the last one ended with."""
    await append(store, *(an_entry(subject=str(n)) for n in range(5)))

    listed: list[str] = []
    before = None
    while found := await page(store, limit=2, before=before):
        listed += [entry.subject for entry in found]
        before = found[-1].id
        await append(store, an_entry(subject="later"))

    assert listed == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize(
    ("which", "found"),
    [
        (AuditFilter(), {0, 1, 2, 3}),
        (AuditFilter(subject="key_2"), {1, 3}),
        (AuditFilter(workspace_id="ws_2"), {2, 3}),
        (AuditFilter(caller_id="caller_2"), {3}),
        (AuditFilter(person_id="person_1"), {2}),
        (AuditFilter(person_id="person_"), set()),
        (AuditFilter(method="RevokeKey"), {0, 3}),
        (AuditFilter(method="Revoke"), set()),
        (AuditFilter(action=Action.KEY_ROTATED), {1, 2}),
        (AuditFilter(action=Action.KEY_ROTATED, subject="key_2"), {1}),
        (AuditFilter(action=Action.KEY_REVOKED), set()),
        (AuditFilter(method="IssueKey", person_id="person_1"), {2}),
        (AuditFilter(method="RevokeKey", person_id="person_1"), set()),
        (AuditFilter(subject="key_2", workspace_id="ws_1"), {1}),
        (AuditFilter(start=START + SECOND), {1, 2, 3}),
        (AuditFilter(end=START + SECOND), {0}),
        (AuditFilter(start=START + SECOND, end=START + 2 * SECOND + MICROSECOND), {1, 2}),
        (AuditFilter(subject="key"), set()),
    ],
)
async def test_filters(store: Store, which: AuditFilter, found: set[int]) -> None:
    """An entry must pass all parts of a filter; the start is included, the end is not."""
    await append(
        store,
        an_entry(revision=0, method="RevokeKey"),
        an_entry(revision=1, subject="key_2", action=Action.KEY_ROTATED, time=START + SECOND),
        an_entry(
            revision=2,
            workspace_id="ws_2",
            action=Action.KEY_ROTATED,
            person_id="person_1",
            time=START + 2 * SECOND,
        ),
        an_entry(
            revision=3,
            subject="key_2",
            workspace_id="ws_2",
            caller_id="caller_2",
            method="RevokeKey",
            person_id="person_2",
            time=START + 3 * SECOND,
        ),
    )

    assert {entry.revision for entry in await page(store, which)} == found


async def test_pruning(store: Store) -> None:
    """What is older than a moment goes, what is of that moment stays, and the number is told."""
    times = (START, START + SECOND, START + DAY)
    await append(store, *(an_entry(time=time) for time in times))

    async with changing(store) as tx:
        assert await tx.audit.prune(START + SECOND, 1_000) == 1
        assert await tx.audit.prune(START, 1_000) == 0

    assert [entry.time for entry in await page(store)] == [START + DAY, START + SECOND]


async def test_ids_grow_also_after_pruning_all(store: Store) -> None:
    """An id once given is never given again, so that a reader's place in the log stays right."""
    await append(store, an_entry(), an_entry())
    last = (await page(store))[0].id
    async with changing(store) as tx:
        assert await tx.audit.prune(START + DAY, 1_000) == 2

    await append(store, an_entry())

    assert (await page(store))[0].id > last
