"""The listening socket of a web server, and its certificate."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keyauthority.base.process.lifecycle import StartError
from keyauthority.base.process.settings import host_and_port

BACKLOG: Final = 1024
_UNSENT: Final = 64 * 1024
"""Unsent bytes of an answer that the system holds: without a limit it would hold some MiB."""

_UNSENT_LIMIT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def bind(listen: str, *, shared: bool = False) -> socket.socket:
    """Returns a socket that listens at *listen*, HOST:PORT; other processes may listen there too if
    it is *shared*. Raises `StartError`.
    """
    host, port = host_and_port(listen, "--listen")
    with _listening_errors(listen):
        listening = socket.create_server(
            (host, port), family=_family(host), backlog=BACKLOG, reuse_port=shared
        )
    if _UNSENT_LIMIT is not None:
        # Accepted connections inherit it.
        listening.setsockopt(socket.IPPROTO_TCP, _UNSENT_LIMIT, _UNSENT)
    return listening


def reserve(listen: str) -> socket.socket:
    """Returns a socket that reserves the port of *listen* for workers that share it (`SO_REUSEPORT`).

    The socket does not listen. A probe first checks that nobody else does, which sharing would hide.
    Port 0 takes any free one. Raises `StartError`.
    """
    host, port = host_and_port(listen, "--listen")
    with _listening_errors(listen):
        with socket.create_server((host, port), family=_family(host)) as probe:
            address = probe.getsockname()[:2]
        reserved = socket.socket(_family(host))
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            reserved.bind(address)
        except OSError:
            reserved.close()
            raise
    return reserved


def server_tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Returns the TLS context for *certificate*, None without one. Raises `StartError`."""
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


@contextmanager
def _listening_errors(listen: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"{listen} is in use: stop what listens there, or choose another port with --listen"
            ) from None
        # Python repeats the address after the reason.
        reason = (error.strerror or type(error).__name__).partition(" (while ")[0]
        raise StartError(f"cannot listen on {listen}: {reason}") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
