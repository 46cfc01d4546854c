"""`keyauthority sessions`: who may answer from a cache."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.output import Answer, moment, table
from keyauthority.client.admin import Session, Sessions, operations


@click.group()
def command() -> None:
    """Show who holds leases: every verifier that may answer from its cache."""


@command.command("list")
@with_authority
def list_sessions(authority: Authority) -> Answer:
    """List sessions, oldest first: acknowledged up to where, how often late, with how long a lease.

    A verifier that changes wait for is granted shorter leases, and none in the end. Without one it
    does not answer from its cache, and no change waits for it.
    """
    reply, listed = authority.call(operations.sessions())
    rows = (
        (
            one.id,
            one.caller_name or "(the authority)",
            one.name,
            moment(one.create_time),
            _ago(one),
            f"{one.revision} of {listed.revision}",
            _lease(one),
            str(one.times_late or ""),
            _state(one, listed),
        )
        for one in listed.sessions
    )
    headings = (
        "ID",
        "CALLER",
        "NAME",
        "SINCE",
        "HEARD OF",
        "ACKNOWLEDGED",
        "LEASE",
        "LATE",
        "STATE",
    )
    return Answer(
        reply,
        table(headings, rows),
        f"Leases last {_seconds(listed.lease)}; a change waits for a verifier "
        f"{_seconds(listed.longest_wait)} at most.",
    )


def _silence(session: Session) -> timedelta:
    return max(datetime.now(UTC) - session.sync_time, timedelta())


def _ago(session: Session) -> str:
    return f"{_seconds(_silence(session))} ago"


def _lease(session: Session) -> str:
    return _seconds(session.lease) if session.lease else "none"


def _state(session: Session, listed: Sessions) -> str:
    if _silence(session) > listed.lease:
        return "silent"
    return "slow" if session.revision < listed.revision else ""


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():.3g} s"
