"""What of the workspaces' credits stands in slices."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from keyauthority.domain.keys import UNKNOWN, RevocationReason
from keyauthority.domain.ledger import Written
from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import Claim
from keyauthority.domain.slices import OwnedSlice, Shared
from keyauthority.escrow.slices import Account, Slice, Word
from tests.conformance.records import (
    DAY,
    SECOND,
    START,
    ManualClock,
    a_caller,
    a_key,
    a_workspace,
    undone,
)
from tests.postgres import open_postgres_in
from tests.transactions import changing, reading


def a_slice(
    session_id: str, number: int = 1, amount: int = 0, workspace_id: str = "ws_1", **fields: object
) -> OwnedSlice:
    slice_ = replace(Slice(number, amount), **fields)  # type: ignore[arg-type]
    return OwnedSlice(workspace_id, session_id, "caller_1", slice_)


async def put(store: Store, *slices: OwnedSlice) -> None:
    async with changing(store) as tx:
        await tx.slices.put(slices)


async def of(tx: Transaction, *sessions: tuple[str, str]) -> list[OwnedSlice]:
    return await tx.slices.of_sessions(set(sessions))


async def test_what_is_put_comes_back(store: Store) -> None:
    """Every field; and only of the sessions that were named, in that workspace."""
    slice_ = Slice(2, 2**62, 3, 2**61, Word.BUSY, closed=True)
    whole = OwnedSlice("ws_1", "s", "caller_1", slice_)
    await put(store, whole, a_slice("s", 1), a_slice("s", 1, workspace_id="ws_2"), a_slice("t"))

    async with reading(store) as tx:
        assert await of(tx, ("ws_1", "s")) == [a_slice("s", 1), whole]
        both = await of(tx, ("ws_2", "s"), ("ws_1", "t"), ("ws_2", "t"))
        assert {(one.workspace_id, one.session_id) for one in both} == {
            ("ws_2", "s"),
            ("ws_1", "t"),
        }


async def test_what_is_put_again_is_replaced(store: Store) -> None:
    """But neither whose it is, nor that it is set aside."""
    await put(store, a_slice("s", amount=7))
    async with changing(store) as tx:
        assert await tx.slices.set_aside(["s"], START + DAY) == 1
    after = a_slice("s", amount=5, sequence=2, granted=3, word=Word.OUT, closed=True)
    await put(store, replace(after, caller_id="caller_2"))

    async with reading(store) as tx:
        assert await of(tx, ("ws_1", "s")) == [replace(after, release_time=START + DAY)]


async def test_what_is_forgotten_is_gone(store: Store) -> None:
    await put(store, *(a_slice("s", number) for number in (1, 2, 3)), a_slice("t", 2))
    async with changing(store) as tx:
        await tx.slices.forget([a_slice("s", 1), a_slice("s", 2), a_slice("never")])

    async with reading(store) as tx:
        assert await of(tx, ("ws_1", "s")) == [a_slice("s", 3)]
        assert await of(tx, ("ws_1", "t")) == [a_slice("t", 2)]


async def test_an_undone_change_leaves_nothing(store: Store) -> None:
    async with undone(store) as tx:
        await tx.slices.put([a_slice("s")])

    async with reading(store) as tx:
        assert await of(tx, ("ws_1", "s")) == []


async def test_who_shares(store: Store) -> None:
    """Sessions besides one's own with an open slice that has something, and what stands in these."""
    await put(
        store,
        a_slice("mine", amount=1),
        a_slice("a", 1, 10, closed=True),
        a_slice("a", 2, 20),
        a_slice("empty", 1, 0),
        a_slice("closed", 1, 40, closed=True),
        a_slice("over", 1, 80),
        a_slice("a", 1, 160, "ws_2"),
        a_slice("a", 1, 320, "ws_3"),
    )
    async with changing(store) as tx:
        await tx.slices.set_aside(["over"], START)

    async with reading(store) as tx:
        shared = await tx.slices.shared(["ws_1", "ws_2", "ws_4"], "mine")
        assert shared == {"ws_1": Shared(1, 20), "ws_2": Shared(1, 160)}


async def test_sessions_with_slices_are_listed(store: Store) -> None:
    """Each once, sorted, page by page; not those that are set aside."""
    for session_id in ("d", "b", "a", "c"):
        await put(
            store, a_slice(session_id), a_slice(session_id, 2), a_slice(session_id, 1, 0, "w")
        )
    async with changing(store) as tx:
        await tx.slices.set_aside(["b"], START)

    async with reading(store) as tx:
        assert await tx.slices.sessions("", 2) == ["a", "c"]
        assert await tx.slices.sessions("c", 2) == ["d"]
        assert await tx.slices.sessions("d", 2) == []


async def test_what_is_set_aside_is_due_in_its_time(store: Store) -> None:
    """Setting it aside again does not put it off."""
    await put(store, a_slice("s"), a_slice("s", 2), a_slice("s", 1, 3, "ws_2"), a_slice("t"))
    async with changing(store) as tx:
        assert await tx.slices.set_aside(["s", "never"], START + DAY) == 3
        assert await tx.slices.set_aside(["s"], START + 2 * DAY) == 0

    async with reading(store) as tx:
        assert await tx.slices.due(START + DAY - SECOND, "", 9) == []
        assert await tx.slices.due(START + DAY, "", 9) == ["ws_1", "ws_2"]
        assert await tx.slices.due(START + DAY, "", 1) == ["ws_1"]
        assert await tx.slices.due(START + DAY, "ws_1", 9) == ["ws_2"]
        assert await tx.slices.due_of("ws_1", START + DAY - SECOND, 9) == []
        due = await tx.slices.due_of("ws_1", START + DAY, 9)
        assert sorted(one.slice.number for one in due) == [1, 2]
        assert len(await tx.slices.due_of("ws_1", START + DAY, 1)) == 1


async def test_all_are_void(store: Store) -> None:
    """Those with credits, as their accounts say then; and those that are empty."""
    async with changing(store) as tx:
        for one in ("ws_2", "ws_3"):
            await tx.workspaces.insert(a_workspace(one))
        await tx.slices.put([a_slice("s", amount=3), a_slice("t", 1, 2, "ws_2")])
        await tx.slices.put([a_slice("u", 1, 0, "ws_3")])
        accounts = {"ws_1": Account(5, escrowed=3), "ws_2": Account(-1, escrowed=2)}
        await tx.ledger.write([Written(one, account) for one, account in accounts.items()])

    async with changing(store) as tx:
        await tx.slices.void_all()

    async with reading(store) as tx:
        accounts = {"ws_1": Account(5), "ws_2": Account(-1)}
        there = await tx.ledger.accounts(["ws_1", "ws_2"])
        assert {one: account for one, (account, _) in there.items()} == accounts
        assert await of(tx, ("ws_1", "s"), ("ws_2", "t"), ("ws_3", "u")) == []


@pytest.mark.parametrize("opener", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("column", ["number", "amount", "sequence", "granted"])
async def test_nothing_of_a_slice_is_below_zero(store: Store, column: str) -> None:
    """The schema itself refuses."""
    wrong = a_slice("s")
    object.__setattr__(wrong.slice, column, -1)

    with pytest.raises(Exception, match=r"check|CHECK"):
        await put(store, wrong)


async def test_whose_sessions_are_alive(store: Store) -> None:
    """By the id of their caller; what has ended is not there."""
    async with changing(store) as tx:
        await tx.callers.insert(a_caller("caller_1"))
    first, second = [
        (await store.sessions.join("caller_1", "v", Claim(0, 0))).session_id for _ in range(2)
    ]
    await store.sessions.leave(second, "caller_1")

    assert await store.sessions.callers_of([first, second, "never"]) == {first: "caller_1"}
    assert await store.sessions.callers_of([]) == {}


async def test_homes_of_keys(store: Store) -> None:
    """Revoked or not."""
    async with changing(store) as tx:
        key = a_key("key_1")
        await tx.keys.insert(key)
        await tx.keys.update([(key, key.revoked(START, RevocationReason.UNSPECIFIED, "", UNKNOWN))])

    async with reading(store) as tx:
        assert await tx.keys.homes(["key_1", "key_2"]) == {"key_1": "ws_1"}


async def test_setting_aside_waits_for_nobody(tmp_path: Path, clock: ManualClock) -> None:
    """What a call has in hand is left for the next round: two that wait for each other would be lost."""
    async with open_postgres_in(tmp_path, clock) as store:
        await put(store, a_slice("s"), a_slice("s", 2))
        async with changing(store) as tx:
            await tx.slices.put([a_slice("s", 2, 7)])
            async with asyncio.timeout(10), changing(store) as other:
                assert await other.slices.set_aside(["s"], START) == 1
        async with changing(store) as tx:
            assert await tx.slices.set_aside(["s"], START) == 1
