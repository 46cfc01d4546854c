"""The socket that clients connect to, and the certificate they see."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path
from typing import Final

from gateway.config import host_and_port

BACKLOG: Final = 1024


class StartError(Exception):
    """The gateway cannot start. The message is one sentence for the operator."""


def bind(listen: str) -> socket.socket:
    """Bind a listening socket to *listen*, HOST:PORT; raise `StartError`."""
    host, port = host_and_port(listen, "--listen")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"{listen} is in use: stop what listens there, or choose another port with --listen"
            ) from None
        raise StartError(f"cannot listen on {listen}: {error.strerror}") from None


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
