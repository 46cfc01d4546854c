"""The socket that clients connect to, and the certificate they see."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.config import host_and_port
from keyauthority import workers

BACKLOG: Final = 1024
_UNSENT: Final = 64 * 1024
"""Bytes that the system keeps of an answer beyond what is on its way: it would go up to some MiB."""

_UNSENT_LIMIT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class StartError(Exception):
    """The gateway cannot start. The message is one sentence for the operator."""


def bind(listen: str, *, shared: bool = False) -> socket.socket:
    """Bind a listening socket to *listen*, HOST:PORT; raise `StartError`.

    Args:
        listen: Where. It is in use, unless all who listen there agree to share it.
        shared: Whether to share it.
    """
    host, port = host_and_port(listen, "--listen")
    with _listening_errors(listen):
        listening = socket.create_server(
            (host, port), family=_family(host), backlog=BACKLOG, reuse_port=shared
        )
    if _UNSENT_LIMIT is not None:
        # Of the connections too: they take it over.
        listening.setsockopt(socket.IPPROTO_TCP, _UNSENT_LIMIT, _UNSENT)
    return listening


def reserve(listen: str) -> socket.socket:
    """Take the port of *listen* for workers that share it; raise `StartError`."""
    with _listening_errors(listen):
        return workers.reserve(*host_and_port(listen, "--listen"))


@contextmanager
def start_errors(attempt: str) -> Iterator[None]:
    """Raise what the system says against *attempt*, such as `read FILE`, as `StartError`."""
    try:
        yield
    except OSError as error:
        raise StartError(f"cannot {attempt}: {error.strerror or error}") from None


@contextmanager
def reading_errors() -> Iterator[None]:
    """Raise what the system says of a file that can't be read as `StartError`."""
    try:
        yield
    except OSError as error:
        raise StartError(f"cannot read {error.filename}: {error.strerror or error}") from None


@contextmanager
def _listening_errors(listen: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"{listen} is in use: stop what listens there, or choose another port with --listen"
            ) from None
        # What Python adds to the reason is the address once more.
        reason = (error.strerror or type(error).__name__).partition(" (while ")[0]
        raise StartError(f"cannot listen on {listen}: {reason}") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def server_tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Load what clients are shown as TLS server certificate; None without one; raise `StartError`."""
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or type(error).__name__
        raise StartError(f"cannot use --tls-cert {certificate} with its key: {reason}") from None
    return context
