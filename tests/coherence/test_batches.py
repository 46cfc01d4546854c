"""The simulation runs the shipped `Books`: what is broken in them breaks a promise in a few seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from keyauthority.domain import books
from tests.coherence.simulation import Simulation

SEEDS = range(200)

_finish, _run = books._finish, books._run


def _breaks() -> bool:
    return any(Simulation(seed).run().broken for seed in SEEDS)


async def _of_before(tx: Any, runs: Sequence[Any]) -> list[int]:
    """Each change waits for a revision of before its batch."""
    return [max(revision - len(runs), 0) for revision in await _finish(tx, runs)]


async def _nothing_at_once(tx: Any, runs: Sequence[Any]) -> list[int]:
    """What finds nothing to change waits for none, though its batch may have made what it asks for."""
    revisions = await _finish(tx, runs)
    return [
        revision * bool(run.change.altered) for run, revision in zip(runs, revisions, strict=True)
    ]


@pytest.mark.parametrize("finish", [_of_before, _nothing_at_once])
def test_each_change_waits_for_its_own_revision(
    monkeypatch: pytest.MonkeyPatch, finish: Any
) -> None:
    """A smaller one is in force sooner than the change."""
    monkeypatch.setattr(books, "_finish", finish)
    assert _breaks()


def test_one_that_fails_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a savepoint it is made with the others, and no verifier hears of it."""

    async def beside_others(tx: Any, call: Any) -> Any:
        try:
            return await _run(tx, call)
        except Exception as error:  # noqa: BLE001  # its caller gets it
            return error

    monkeypatch.setattr(books, "_run_beside_others", beside_others)
    assert _breaks()
