"""Calls that share a transaction do what they would do one after the other, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from keyauthority.domain.credits import settling
from keyauthority.domain.credits.charging import ChargeState
from keyauthority.domain.credits.settling import _Brought
from keyauthority.domain.credits.spending import Answer, Call, Closing
from keyauthority.domain.ports import Store
from keyauthority.escrow.slices import SliceClosing, Word
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import SECOND, START, ManualClock, a_workspace
from tests.conformance.spending import Ledgers, Verifier
from tests.transactions import changing, reading

WORKSPACES = ("ws_1", "ws_2")
HISTORIES = 12


async def verifiers_of(store: Store) -> tuple[Ledgers, list[Verifier]]:
    """Four of two callers, and credits in two workspaces, some of which expire."""
    ledgers = Ledgers(store)
    await ledgers.begin(*WORKSPACES)
    for one in WORKSPACES:
        await ledgers.top_up(300, one)
        await ledgers.top_up(100, one, expire_time=START + 3 * SECOND, priority=1)
    callers = ("caller_1", "caller_1", "caller_2", "caller_1")
    return ledgers, [await ledgers.verifier(one) for one in callers]


def calls_of(dice: Random, verifiers: Sequence[Verifier], turn: int) -> list[_Brought]:
    """What some say at the same time: of what is theirs, and of what is not."""
    return [_call(dice, verifiers, dice.choice(verifiers), turn) for _ in range(dice.randint(2, 6))]


def _call(dice: Random, verifiers: Sequence[Verifier], verifier: Verifier, turn: int) -> _Brought:
    workspaces = dice.sample(WORKSPACES, dice.randint(1, 2))
    slices = [
        verifier.asking(
            dice.choice([0, 20, 200]),
            dice.choice([0, 0, 30, 150]),
            keep=dice.choice([0, 10, 100]),
            number=dice.randint(1, 3),
            sequence=turn + dice.randint(0, 1),
            workspace_id=one,
        )
        for one in workspaces
        if dice.random() < 0.7
    ]
    charges = [
        verifier.charging(
            dice.choice([0, 5, 40]),
            dice.choice([None, 5, 20]),
            f"r {dice.randint(0, 30)}",
            workspace_id=dice.choice(WORKSPACES),
            session_id=dice.choice(verifiers).session_id,
            number=dice.randint(1, 3),
        )
        for _ in range(dice.randint(0, 2))
    ]
    closings = [
        Closing(
            dice.choice(WORKSPACES),
            dice.choice([*verifiers, verifier]).session_id,
            SliceClosing(dice.randint(1, 4), dice.choice([0, 0, 10])),
        )
        for _ in range(dice.choice([0, 0, 1, 2]))
    ]
    return _Brought(verifier.actor, Call(verifier.session_id, charges, closings, slices))


async def one_by_one(ledgers: Ledgers, brought: Sequence[_Brought]) -> list[Answer]:
    return [(await ledgers.settling._settle([one]))[0] for one in brought]


async def together(ledgers: Ledgers, brought: Sequence[_Brought]) -> list[Answer]:
    return await ledgers.settling._settle(brought)


async def history(store: Store, clock: ManualClock, seed: int, settle: Any) -> list[Any]:
    """All that came of it; sessions are named by their place."""
    dice = Random(seed)
    ledgers, verifiers = await verifiers_of(store)
    told: list[Any] = []
    for turn in range(1, 6):
        answers = await settle(ledgers, calls_of(dice, verifiers, turn))
        told.append([(one.session_over, one.charges, one.slices) for one in answers])
        clock.time += SECOND
    for one in WORKSPACES:
        async with reading(store) as tx:
            slices = await tx.slices.of_sessions({(one, each.session_id) for each in verifiers})
        told.append(await ledgers.account(one))
        names = [each.session_id for each in verifiers]
        told.append(sorted((names.index(each.session_id), repr(each.slice)) for each in slices))
    told.append(asdict(ledgers.counts))
    told.append(set(await ledgers.announced(0)))
    return told


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_together_is_as_one_after_the_other(
    store: Store, clock: ManualClock, seed: int
) -> None:
    """The same answers, balances, slices and counts, whatever is said."""
    others = ManualClock()
    reference = MemoryStore(others)
    async with changing(reference) as tx:
        await tx.workspaces.insert(a_workspace("ws_1"))
    expected = await history(reference, others, seed, one_by_one)
    assert await history(store, clock, seed, together) == expected


async def test_what_waits_shares_a_transaction(store: Store) -> None:
    ledgers, verifiers = await verifiers_of(store)
    transactions = 0
    post = ledgers.books.post

    async def counted(work: Any) -> Any:
        nonlocal transactions
        transactions += 1
        return await post(work)

    with patch.object(ledgers.books, "post", counted):
        states = await asyncio.gather(
            *(one.charge(5, name=f"{n} {m}") for n, one in enumerate(verifiers) for m in range(5))
        )
    assert states == [ChargeState.ENTERED] * 20
    assert transactions <= 2
    assert (await ledgers.account()).balance == 400 - 100


async def test_a_call_that_fails_takes_none_with_it(store: Store) -> None:
    """What it did is undone, and what the others did stands, once."""
    ledgers, verifiers = await verifiers_of(store)
    broken = verifiers[1]
    run = settling._Settlement.run

    def fails(self: settling._Settlement) -> Answer:
        answer = run(self)
        if self._call.session_id == broken.session_id:
            raise ZeroDivisionError
        return answer

    with patch.object(settling._Settlement, "run", fails):
        asked = (one.say(one.charging(5, name=one.session_id), one.asking(10)) for one in verifiers)
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers.pop(1), ZeroDivisionError)
    for answer in answers:
        assert isinstance(answer, Answer)
        assert answer.charges == [ChargeState.ENTERED]
        assert answer.slices == [(Word.GRANTED, 10)]
    account = await ledgers.account()
    assert (account.balance, account.escrowed) == (400 - 15, 30)
