"""How many connections there may be and what each may do, as gRPC is told it.

What is sent before its caller is known stays in the 16 KiB of its stream's window: nothing is read
of it. So a connection that nobody is known on holds its buffers, and as many such windows as it has
calls waiting for an answer.
"""

from __future__ import annotations

import resource
from typing import Final

OWN_FILES: Final = 256
"""Files that a process needs besides, for its books, its logs and its metrics."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 9 << 20),  # 1,000 secrets of 8,192 bytes
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_concurrent_streams", 1_000),
    # The window of a stream, which does not grow unless what comes in is asked for: else gRPC
    # widens it to megabytes by how fast the peer sends.
    ("grpc.http2.lookahead_bytes", 16 << 10),
    ("grpc.http2.bdp_probe", 0),
    # Calls wait here until Python takes them, in their order. With gRPC's own bounds of 1,000 and
    # 3,000 it refuses calls at random, of whatever kind, when a thousand verifiers join at once.
    ("grpc.server.max_pending_requests", 50_000),
    ("grpc.server.max_pending_requests_hard_limit", 50_000),
    # Who does not speak HTTP/2 within seconds, or does not read, is disconnected.
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


def affordable(wanted: int) -> int:
    """As many connections of *wanted* as this process may open files for, whose limit it raises.

    So strangers can't take the files that the books need.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - OWN_FILES))


def options(*, connections: int, share_port: bool = False) -> list[tuple[str, int]]:
    """The channel arguments of a server; *share_port* lets other processes listen there too."""
    return [
        *_OPTIONS,
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.so_reuseport", int(share_port)),
    ]
