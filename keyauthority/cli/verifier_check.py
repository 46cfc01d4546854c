"""`keyauthority verifier-check`: does somebody's verifier keep the rules?"""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Sequence

import click

from keyauthority.cli.output import Answer, count, table
from keyauthority.verifier_check import vectors
from keyauthority.verifier_check.checking import Outcome, check
from keyauthority.verifier_check.steps import Vector

RULES = [vector.rule for vector in vectors.load()]


@click.command("verifier-check", context_settings={"allow_interspersed_args": False})
@click.option(
    "--rule",
    "rules",
    metavar="RULE",
    type=click.Choice(RULES),
    multiple=True,
    help="Check this rule alone; may be given several times.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
def command(rules: Sequence[str], command: Sequence[str]) -> Answer:
    """Check that a verifier in any language keeps the rules of docs/sync-protocol.md.

    COMMAND starts a program that has the verifier. For each rule it is started anew, with a scripted
    authority's address and token in KEYAUTHORITY_ADDRESS and KEYAUTHORITY_TOKEN. It reads questions
    from standard input, such as {"id": 1, "verify": "sk-optk-…"}, and writes the answers to standard
    output: {"id": 1, "verdict": "VALID"}, the name of any other verdict, or UNAVAILABLE. When standard
    input ends, it ends its session and exits.

    Exit status: 0 if every rule is kept, 1 if one is broken.
    """
    if shutil.which(command[0]) is None:
        raise click.UsageError(f"there is no program {command[0]}")
    chosen = [vector for vector in vectors.load() if not rules or vector.rule in rules]
    try:
        outcomes = asyncio.run(_check(command, chosen))
    except asyncio.CancelledError:
        raise click.Abort from None
    broken = [outcome.rule for outcome in outcomes if outcome.broken]
    return Answer(
        {"rules": [_document(outcome) for outcome in outcomes]},
        table(("RULE", "RESULT"), ((outcome.rule, _result(outcome)) for outcome in outcomes)),
        f"{count(len(outcomes) - len(broken), 'rule')} kept, {len(broken):,} broken.",
        exit_code=int(bool(broken)),
        brief="\n".join(broken),
    )


async def _check(command: Sequence[str], chosen: Sequence[Vector]) -> Sequence[Outcome]:
    # Whoever ends the check ends the programs, too: they have process groups of their own.
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # a coroutine runs in one
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await check(command, chosen)


def _document(outcome: Outcome) -> dict[str, str | bool]:
    return {
        "rule": outcome.rule,
        "kept": not outcome.broken,
        "broken": outcome.broken,
        "at_first": outcome.at_first,
    }


def _result(outcome: Outcome) -> str:
    if outcome.broken:
        return f"BROKEN: {outcome.broken}"
    return f"kept, at the second try (first: {outcome.at_first})" if outcome.at_first else "kept"
