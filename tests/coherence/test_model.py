"""The protocol in all small worlds: no promise is broken, and each seeded bug breaks one.

`-s` prints what was searched, and for each bug the shortest way to a broken promise.
"""

from __future__ import annotations

import os

import pytest

from tests.coherence.model import Model
from tests.coherence.scenarios import ALL, Scenario
from tests.coherence.searching import search
from tests.coherence.seeded import SEEDED, SPARE, Seeded

LONG = bool(os.environ.get("TEST_LONG"))
LIMIT, OWED = (150_000, 2_000_000) if LONG else (10_000, 300_000)
"""States of one world that are searched, and of all together that are owed."""


def _name(value: object) -> str:
    return value.model.__name__ if isinstance(value, Seeded) else str(value)


@pytest.mark.long
@pytest.mark.timeout(3600 if LONG else 300)
def test_no_promise_is_broken() -> None:
    """Nothing that may happen in any of the worlds breaks a promise, nor raises an alarm."""
    total = sum(_states(scenario) for scenario in ALL)
    print(f"{total:>9} states in all")
    assert total >= OWED


def _states(scenario: Scenario) -> int:
    found = search(Model(scenario), LIMIT)
    assert not found.broken, "\n".join((scenario.name, *found.trace, found.broken))
    print(f"{found.states:>9} {'all' if found.exhausted else '   '} {scenario.name}")
    return found.states


@pytest.mark.parametrize("seeded", SEEDED, ids=_name)
def test_without_a_rule_a_promise_is_broken(seeded: Seeded) -> None:
    """Each rule is needed: a model without it comes to a broken promise."""
    found = search(seeded.model(seeded.scenario), 100_000)
    steps = (*seeded.scenario.begins, *found.trace)
    print(f"\n{len(steps)} steps, {found.states} states: without the rule that {seeded.rule}")
    print("\n".join(f"    {step}" for step in (*found.trace, found.broken)))
    assert found.broken


@pytest.mark.long
@pytest.mark.parametrize("seeded", SPARE, ids=_name)
def test_what_holds_twice_is_known(seeded: Seeded) -> None:
    """Where two rules hold the same, either suffices; if that changes, the bugs above change too."""
    found = search(seeded.model(seeded.scenario), LIMIT)
    assert not found.broken, "\n".join((seeded.rule, *found.trace, found.broken))
