"""The simulation runs the shipped `Books`: what is broken in them breaks a promise in a few seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from keyauthority.domain.books import Books
from tests.coherence.simulated_books import Parts
from tests.coherence.simulation import Simulation

SEEDS = range(200)


def _breaks(books: type[Books]) -> bool:
    return any(Simulation(seed, Parts(books_type=books)).run().broken for seed in SEEDS)


class _OfBefore(Books):
    """Each change waits for a revision of before its batch."""

    @staticmethod
    async def _finish(tx: Any, runs: Sequence[Any]) -> list[int]:
        return [max(revision - len(runs), 0) for revision in await Books._finish(tx, runs)]


class _NothingAtOnce(Books):
    """What finds nothing to change waits for none, though its batch may have made what it asks for."""

    @staticmethod
    async def _finish(tx: Any, runs: Sequence[Any]) -> list[int]:
        revisions = await Books._finish(tx, runs)
        return [
            revision * bool(run.change.altered)
            for run, revision in zip(runs, revisions, strict=True)
        ]


class _NoSavepoint(Books):
    """One that fails is made with the others."""

    @classmethod
    async def _run_beside_others(cls, tx: Any, call: Any) -> Any:
        try:
            return await cls._run_alone(tx, call)
        except Exception as error:  # noqa: BLE001  # its caller gets it
            return error


@pytest.mark.parametrize("books", [_OfBefore, _NothingAtOnce])
def test_each_change_waits_for_its_own_revision(books: type[Books]) -> None:
    """A smaller one is in force sooner than the change."""
    assert _breaks(books)


def test_one_that_fails_is_rolled_back() -> None:
    """Without a savepoint no verifier hears of it."""
    assert _breaks(_NoSavepoint)
