"""`keyauthority sessions`: who may answer from a cache."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.output import Answer, moment, table
from keyauthority.client.admin import Session, Sessions, operations

_HEADINGS = ("ID", "CALLER", "NAME", "SINCE", "LAST SYNC", "ACKNOWLEDGED", "LEASE", "LATE", "STATE")


@click.group()
def command() -> None:
    """List the verifiers that may answer from their caches, by their leases."""


@command.command("list")
@with_authority
def list_sessions(authority: Authority) -> Answer:
    """List sessions, oldest first.

    ACKNOWLEDGED is the newest revision that the verifier has applied, LATE how often a change waited
    for it in vain. A late verifier gets shorter leases, in the end none: without a lease it does not
    answer from its cache, and no change waits for it.
    """
    reply, sessions = authority.call(operations.sessions())
    rows = (
        (
            session.id,
            session.caller_name or "(the authority)",
            session.name,
            moment(session.create_time),
            f"{seconds(silence(session))} ago",
            f"{session.revision} of {sessions.revision}",
            seconds(session.lease) if session.lease else "none",
            str(session.times_late or ""),
            _state(session, sessions),
        )
        for session in sessions.sessions
    )
    return Answer(
        reply,
        table(_HEADINGS, rows),
        f"Leases last {seconds(sessions.lease)}; a change waits for a verifier "
        f"{seconds(sessions.longest_wait)} at most.",
    )


def silence(session: Session) -> timedelta:
    """Returns how long ago the session last synchronised."""
    return max(datetime.now(UTC) - session.sync_time, timedelta())


def _state(session: Session, sessions: Sessions) -> str:
    if silence(session) > sessions.lease:
        return "silent"
    return "slow" if session.revision < sessions.revision else ""


def seconds(length: timedelta) -> str:
    """Returns the length in seconds, with three digits."""
    return f"{length.total_seconds():.3g} s"
