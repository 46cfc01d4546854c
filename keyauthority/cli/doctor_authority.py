"""What `keyauthority doctor` checks of the authority: that it is reached, believes us, and agrees."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from keyauthority.base.process.settings import SettingsError, socket_path
from keyauthority.cli.authority import Authority, connected
from keyauthority.cli.doctor_here import judged_by_time
from keyauthority.cli.failures import Failure
from keyauthority.cli.findings import Finding, Grade, failed, ok, skipped, warning
from keyauthority.cli.options import Options
from keyauthority.cli.output import count
from keyauthority.cli.sessions import silence
from keyauthority.cli.whoami import roles_of
from keyauthority.client.addresses import parse_addresses
from keyauthority.client.admin import CredentialError, identity, operations

FAR: Final = timedelta(seconds=2)
"""Clocks that differ by more are warned of, beyond what the call itself took."""

_CONNECTS_WITHIN: Final = 3.0
_HTTP_2: Final = ("h2",)
_TIME: Final = "%b %d %H:%M:%S %Y %Z"


def check_authority(options: Options) -> Iterator[Finding]:
    """Connects to each address, and asks who we are, what time it is and who is late."""
    try:
        addresses = parse_addresses(options.address, "--address")
    except SettingsError as error:
        yield failed("reachability", str(error))
        return
    findings = [one for address in addresses for one in _reached(address.text, options)]
    yield from findings
    if all(one.grade is Grade.FAILED for one in findings):
        yield skipped("credential", "there is nobody to ask")
        return
    try:
        with connected(options) as authority:
            yield from _asked(authority)
    except click.ClickException as error:
        yield failed("credential", error.format_message())


def _reached(address: str, options: Options) -> Iterator[Finding]:
    ca = options.tls_ca
    try:
        with _connected(address) as connection:
            if ca is None:
                yield ok("reachability", f"something listens at {address}")
                return
            host = address.rpartition(":")[0].strip("[]")
            with _context(ca, options).wrap_socket(connection, server_hostname=host) as encrypted:
                certificate = encrypted.getpeercert() or {}
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason
        yield failed(
            "reachability", f"{address} has no certificate that {ca} vouches for: {reason}"
        )
    except OSError as error:
        why = "timed out" if isinstance(error, TimeoutError) else error.strerror
        yield failed(
            "reachability",
            f"{address}: {str(why).lower()}: start the authority there with `keyauthority serve`, or "
            "point --address (KEYAUTHORITY_ADDRESS) at it",
        )
    else:
        yield ok("reachability", f"{address} has a certificate that {ca} vouches for")
        start, end = (_time(certificate[name]) for name in ("notBefore", "notAfter"))
        yield judged_by_time(f"that of {address}", start, end)


def _context(ca: Path, options: Options) -> ssl.SSLContext:
    # As strict as gRPC: the default context of newer versions asks for more of a CA.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    if options.tls_client_cert is not None and options.tls_client_key is not None:
        context.load_cert_chain(options.tls_client_cert, options.tls_client_key)
    context.set_alpn_protocols(_HTTP_2)
    return context


def _connected(address: str) -> socket.socket:
    path = socket_path(address)
    if path is None:
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), _CONNECTS_WITHIN)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_CONNECTS_WITHIN)
    connection.connect(str(path))
    return connection


def _time(text: object) -> datetime:
    return datetime.strptime(str(text), _TIME).replace(tzinfo=UTC)


def _asked(authority: Authority) -> Iterator[Finding]:
    before, start = datetime.now(UTC), time.monotonic()
    _, answer = authority.call(identity.who_am_i())
    took = timedelta(seconds=time.monotonic() - start)
    caller = answer.caller
    yield ok("credential", f'{caller.id} "{caller.name}": {roles_of(caller)}')
    yield compared(answer.server_time, before + took / 2, took)
    yield from _verifiers(authority)


def compared(theirs: datetime, ours: datetime, took: timedelta) -> Finding:
    """Says whether the clocks agree, as far as a call that took so long can tell."""
    ahead = (theirs - ours).total_seconds()
    if abs(theirs - ours) <= FAR + took / 2:
        return ok("clock", f"{abs(ahead):.3f} s from the authority's")
    way = "ahead of" if ahead > 0 else "behind"
    return warning(
        "clock",
        f"the authority's is {abs(ahead):,.0f} s {way} this machine's, and it judges when keys "
        "expire, unless the books are in PostgreSQL, whose clock does: have all set by NTP",
    )


def _verifiers(authority: Authority) -> Iterator[Finding]:
    try:
        _, sessions = authority.call(operations.sessions())
    except Failure as failure:
        if isinstance(failure.error, CredentialError):
            yield skipped("verifiers", "only the role admin may list them")
            return
        raise
    slow = [
        one.name or one.id
        for one in sessions.sessions
        if silence(one) > sessions.lease or one.times_late
    ]
    if slow:
        yield warning(
            "verifiers",
            f"changes wait for {', '.join(slow)}, which are late or silent: keyauthority sessions list",
        )
    else:
        yield ok("verifiers", f"{count(len(sessions.sessions), 'verifier')}, none late or silent")
