"""Making connections, and what is demanded of them."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from keyauthority.location import PostgresUrl

Connect = Callable[[], Awaitable[asyncpg.Connection]]
"""Makes one more connection."""

CONNECT: Final = 2.0
"""Seconds that making a connection may take."""

SILENCE: Final = 4
"""Seconds after which a network that says nothing is taken to be cut."""

SETTINGS: Final = {
    "application_name": "keyauthority",
    # A statement ends by itself before the wait for it does, and so does a transaction that was
    # left behind: its locks would hold up everybody.
    "statement_timeout": "4500",
    "lock_timeout": "4000",
    "idle_in_transaction_session_timeout": "10000",
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(SILENCE * 1000),
    "jit": "off",
}
"""What a session asks of the server. None of these timeouts touches a commit that waits."""

# Not on every system; without them a cut is noticed when a statement takes too long.
_PROBES: Final = {
    "TCP_KEEPIDLE": 2,
    "TCP_KEEPINTVL": 1,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": SILENCE * 1000,
}


async def connect(url: PostgresUrl, settings: dict[str, str]) -> asyncpg.Connection:
    """A connection to the primary server that *url* leads to.

    A standby would tell the past, and after a failover an address may lead to one.
    """
    driver = await asyncpg.connect(
        url.reveal(),
        timeout=CONNECT,
        target_session_attrs="primary",
        server_settings=settings,
    )
    _probe(driver)
    return driver


def _probe(driver: Any) -> None:
    own_socket = driver._transport.get_extra_info("socket")  # noqa: SLF001  # it has no other name
    if own_socket is None or own_socket.family == socket.AF_UNIX:
        return
    own_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES.items():
        if hasattr(socket, name):
            own_socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
