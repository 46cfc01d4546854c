"""All rules, each with a program and an authority of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from keyauthority.domain import secrets
from keyauthority.verifier_check.authority import ScriptedAuthority, serving
from keyauthority.verifier_check.driving import BrokenError, Driver, judge
from keyauthority.verifier_check.news import News
from keyauthority.verifier_check.program import started
from keyauthority.verifier_check.steps import Step, Vector

AT_ONCE: Final = 4
"""Rules that are checked at the same time: they wait for most of theirs."""

TRIED_AGAIN: Final = 5
"""Rules that are tried once more, at most: where more are broken, the machine is not why."""

NOT_CHECKED: Final = "not checked, since the program does not join"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a program keeps a rule.

    *broken* says how it does not, and is empty if it does. *at_first* is set if it did only in the second
    run: it says what was seen in the first.
    """

    rule: str
    broken: str = ""
    at_first: str = ""


async def check(command: Sequence[str], vectors: Sequence[Vector]) -> Sequence[Outcome]:
    """Checks every rule of *vectors* with *command*.

    A rule that seems broken is tried once more, when nothing else runs: the machine may have been busy.
    With a program that does not even join, one rule is checked.
    """
    outcomes = [await check_rule(command, vectors[0])]
    if outcomes[0].broken.endswith(_at(1)):
        return [*outcomes, *(Outcome(vector.rule, NOT_CHECKED) for vector in vectors[1:])]
    places = asyncio.Semaphore(AT_ONCE)

    async def one(vector: Vector) -> Outcome:
        async with places:
            return await check_rule(command, vector)

    outcomes += await asyncio.gather(*map(one, vectors[1:]))
    doubtful = [number for number, outcome in enumerate(outcomes) if outcome.broken]
    for number in doubtful[:TRIED_AGAIN]:
        again = await check_rule(command, vectors[number])
        outcomes[number] = replace(again, at_first=outcomes[number].broken)
    return outcomes


async def check_rule(command: Sequence[str], vector: Vector) -> Outcome:
    """Checks the rule of *vector* with one run of *command*."""
    news, token = News(), secrets.mint(secrets.new_id("caller"), secrets.TOKEN_PREFIX).reveal()
    authority = ScriptedAuthority(token, news)
    try:
        async with (
            serving(authority) as address,
            started(command, address, token, news) as program,
        ):
            return Outcome(
                vector.rule, await broken(Driver(authority, program, news), vector.steps)
            )
    except OSError as error:
        return Outcome(vector.rule, f"{command[0]} cannot be started: {error.strerror}{_at(1)}")


async def broken(driver: Driver, steps: Sequence[Step]) -> str:
    """Takes *steps* up to the first that is not as it has to be; says what was seen there instead."""
    for number, step in enumerate(steps, 1):
        try:
            judge(step, await driver.take(step))
        except BrokenError as error:
            return f"{error}{_at(number)}"
    return ""


def _at(step: int) -> str:
    return f" (step {step})"
