"""The limits of what one client may send and hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one client. Sizes are bytes, times seconds."""

    # The request line and all header fields together; more is answered 431.
    max_header_bytes: int = 32 * 1024

    # Header fields of one request; more are answered 431.
    max_headers: int = 100

    # From the first byte of a request (or from connecting) to the end of its headers; else 408.
    header_timeout: float = 10.0

    # The request body, declared or counted while it streams; more is answered 413.
    max_body_bytes: int = 64 * 1024 * 1024

    # The longest silence within a request body; then 408.
    body_timeout: float = 30.0

    # How long a connection may idle between requests. It must be longer than the idle time of a load
    # balancer in front, which would otherwise use connections that are just being closed.
    keepalive_timeout: float = 75.0

    # How long a client may read nothing of an answer that waits for it; then its connection is
    # aborted. A relayed response has its own limit.
    send_timeout: float = 60.0

    # Client connections at a time; the next one is answered 503 and closed.
    max_connections: int = 4096

    # Bytes of answers that wait in memory for slow clients; beyond, the answers that are unread for
    # longest are aborted. One owner has half of the bytes at most.
    max_unread_bytes: int = 128 * 1024 * 1024
