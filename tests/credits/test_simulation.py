"""Random histories keep the promises of credits, and those of a seeded bug break one.

`SEED=n` replays one seed.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.credits.seeded import BUGS, seeded
from tests.credits.simulation import Simulation

LONG = bool(os.environ.get("TEST_LONG"))
SEEDS = range(100_000 if LONG else 1_000)
if "SEED" in os.environ:
    SEEDS = range(int(os.environ["SEED"]), int(os.environ["SEED"]) + 1)

OWED = {
    "admitted": 10,
    "charged": 8,
    "402": 1,
    "429": 0.1,
    "503": 2,
    "not extended": 0.1,
    "reduction": 0.7,
    "kill": 0.3,
    "power cut": 0.3,
    "restart": 0.3,
    "restore": 0.2,
    "entered again": 0.2,
}
"""What has to happen in a seed on average: without it, that nothing broke says nothing."""

# What a killed process leaves behind is never awaited.
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(7200 if LONG else 300),
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Calls that fail are no news here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_random_histories_break_no_promise() -> None:
    """Whatever the seed, no promise is broken, while enough of everything happens."""
    counts: Counter[str] = Counter()
    for seed in SEEDS:
        played = Simulation(seed).run()
        assert not played.broken, f"SEED={seed}: {played.broken}"
        counts += played.counts
    print(f"\n{len(SEEDS)} seeds:", ", ".join(f"{each} {n}" for each, n in sorted(counts.items())))
    if len(SEEDS) > 1:
        assert not {what for what, owed in OWED.items() if counts[what] < owed * len(SEEDS)}


@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_breaks_a_promise(bug: str) -> None:
    """The same histories find a bug, most in a few seeds."""
    with seeded(bug):
        seeds = range(10_000 if LONG else 1_000)
        found = next((seed for seed in seeds if Simulation(seed).run().broken), None)
    print(f"\n{bug}: seed {found}")
    assert found is not None
