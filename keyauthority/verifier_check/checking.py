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
    """
    places = asyncio.Semaphore(AT_ONCE)

    async def first(vector: Vector) -> Outcome:
        async with places:
            return await check_rule(command, vector)

    outcomes = await asyncio.gather(*map(first, vectors))
    return [
        replace(await check_rule(command, vector), at_first=outcome.broken)
        if outcome.broken
        else outcome
        for vector, outcome in zip(vectors, outcomes, strict=True)
    ]


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
        return Outcome(vector.rule, f"{command[0]} cannot be started: {error.strerror}")


async def broken(driver: Driver, steps: Sequence[Step]) -> str:
    """Takes *steps* up to the first that is not as it has to be; says what was seen there instead."""
    for number, step in enumerate(steps, 1):
        try:
            judge(step, await driver.take(step))
        except BrokenError as error:
            return f"{error} (step {number})"
    return ""
