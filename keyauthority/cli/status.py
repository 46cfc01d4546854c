"""`keyauthority status`: whether the authority answers, and who answers for it from caches."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import click

from keyauthority.cli.authority import Authority, connected
from keyauthority.cli.failures import Failure
from keyauthority.cli.options import Options
from keyauthority.cli.output import Answer, count, details, table
from keyauthority.cli.sessions import seconds, silence
from keyauthority.client.admin import CredentialError, PepperState, Sessions, identity, operations


@dataclass(frozen=True, slots=True)
class Replica:
    """What came of asking the authority at *address*: a version and milliseconds, or a failure."""

    address: str
    version: str = ""
    milliseconds: float = 0.0
    failure: str = ""

    @property
    def answers(self) -> bool:
        """Whether it answered as an authority."""
        return not self.failure


@click.command("status")
@click.pass_context
def command(context: click.Context) -> Answer:
    """Show whether the authority answers at each address, and what it is busy with.

    What verifiers there are takes the role admin. Exit status: 0 if all of it answers, 1 if not.
    """
    options: Options = context.obj
    replicas = [_asked(options, address.strip()) for address in options.address.split(",")]
    fields: list[tuple[str, str]] = []
    document: dict[str, Any] = {"authorities": [_document(one) for one in replicas]}
    if any(one.answers for one in replicas):
        authority = context.with_resource(connected(options))
        fields, more = _state(authority)
        document |= more
    rows = (
        (one.address, one.version or "unknown", f"{one.milliseconds:.1f} ms", "answers")
        if one.answers
        else (one.address, "", "", one.failure)
        for one in replicas
    )
    text = table(("AUTHORITY", "VERSION", "WITHIN", "STATE"), rows)
    if fields:
        text += f"\n\n{details(fields)}"
    well = all(one.answers for one in replicas)
    return Answer(document, text, exit_code=0 if well else 1, brief="")


def _asked(options: Options, address: str) -> Replica:
    with connected(replace(options, address=address)) as authority:
        start = time.monotonic()
        try:
            _, answer = authority.call(identity.who_am_i())
        except Failure as failure:
            if isinstance(failure.error, CredentialError):
                raise
            return Replica(address, failure=failure.format_message())
    return Replica(address, answer.server_version, (time.monotonic() - start) * 1e3)


def _document(replica: Replica) -> dict[str, Any]:
    return {
        "address": replica.address,
        "answers": replica.answers,
        "version": replica.version,
        "milliseconds": round(replica.milliseconds, 1),
        "failure": replica.failure,
    }


def _state(authority: Authority) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    # Nothing, for a caller that may not see it.
    try:
        _, sessions = authority.call(operations.sessions())
        _, peppers = authority.call(operations.peppers())
    except Failure as failure:
        if isinstance(failure.error, CredentialError):
            return [], {}
        raise
    [active] = [one.version for one in peppers if one.state is PepperState.ACTIVE]
    silent, late = _silent(sessions), sum(one.times_late > 0 for one in sessions.sessions)
    number = len(sessions.sessions)
    fields = [
        ("epoch", str(sessions.epoch)),
        ("revision", str(sessions.revision)),
        ("verifiers", f"{count(number, 'verifier')}, {silent} silent, {late} that were late"),
        (
            "leases",
            f"{seconds(sessions.lease)}; a change waits {seconds(sessions.longest_wait)} at most",
        ),
        ("pepper", f"version {active}"),
    ]
    return fields, {
        "epoch": str(sessions.epoch),
        "revision": str(sessions.revision),
        "verifiers": number,
        "silent": silent,
        "late": late,
        "pepper": active,
    }


def _silent(sessions: Sessions) -> int:
    return sum(silence(one) > sessions.lease for one in sessions.sessions)
