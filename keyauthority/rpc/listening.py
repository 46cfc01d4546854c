"""How the authority listens: its address, its certificate, and what connections may be and do.

A message is read only when its caller is known: until then at most the 16 KiB of its stream's window
are in memory. A connection of strangers holds its buffers, and a window for each waiting call.
"""

from __future__ import annotations

import resource
import ssl
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

from keyauthority.base.process.files import check_folder
from keyauthority.base.process.lifecycle import StartError
from keyauthority.base.process.settings import socket_path

OWN_FILES: Final = 256
"""Files that a process needs besides, for its books, its logs and its metrics."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 9 << 20),  # 1,000 secrets of 8,192 bytes
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_concurrent_streams", 1_000),
    # The window of a stream. The probe would widen it to megabytes by how fast the peer sends.
    ("grpc.http2.lookahead_bytes", 16 << 10),
    ("grpc.http2.bdp_probe", 0),
    # Calls wait here, in their order, until Python takes them. With its own bounds of 1,000 and 3,000
    # gRPC refuses calls at random, of whatever kind, when a thousand verifiers join at once.
    ("grpc.server.max_pending_requests", 50_000),
    ("grpc.server.max_pending_requests_hard_limit", 50_000),
    # A peer that does not speak HTTP/2 within seconds, or does not read, is disconnected.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.http2.settings_timeout", 10_000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    # A client without a call connects again when it has one.
    ("grpc.max_connection_idle_ms", 300_000),
    # Clients notice a dead connection by pings, every second if they like; more is an offence.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 10),
)


def affordable(connections: int) -> int:
    """Returns how many of *connections* this process has files for; raises its limit of files.

    The files that the books need stay free, whatever strangers open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return (
        connections
        if soft == resource.RLIM_INFINITY
        else max(1, min(connections, soft - OWN_FILES))
    )


def channel_options(*, connections: int, share_port: bool = False) -> list[tuple[str, int]]:
    """Returns the channel arguments of a server; *share_port* lets other processes listen there too."""
    return [
        *_OPTIONS,
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.so_reuseport", int(share_port)),
    ]


def bind(
    server: grpc.aio.Server,
    listen: str,
    certificate: Path | None = None,
    key: Path | None = None,
    client_ca: Path | None = None,
) -> int:
    """Binds *server* to the address *listen* and returns the port; raises `StartError`.

    With PEM files, the server has TLS: a *certificate* chain and its private *key*, and the authority
    of clients' certificates, if they need one.
    """
    if (certificate is None) != (key is None):
        raise StartError(f"can't listen on {listen}: certificate and key need one another")
    credentials = _credentials(certificate, key, client_ca) if certificate and key else None
    path = socket_path(listen)
    try:
        if path is not None:
            check_folder(path.parent)
        if credentials is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, credentials)
    except OSError as error:
        raise StartError(f"can't listen on {listen}: {error.strerror}") from None
    except RuntimeError:  # gRPC doesn't say why
        raise StartError(
            f"can't listen on {listen}: is it in use, not an address of this machine, or closed to "
            "this user?"
        ) from None


def _credentials(certificate: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    try:
        pair = (key.read_bytes(), certificate.read_bytes())
        authority = client_ca.read_bytes() if client_ca else None
        # gRPC says of unusable files only that it can't bind.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
    except ssl.SSLError:
        paths = (certificate, key, client_ca)
        files = ", ".join(str(path) for path in paths if path is not None)
        raise StartError(f"not a certificate chain and its private key, in PEM: {files}") from None
    except OSError as error:
        raise StartError(f"{error.filename} can't be read: {error.strerror}") from None
    return grpc.ssl_server_credentials(
        [pair], root_certificates=authority, require_client_auth=authority is not None
    )
