"""Connecting to the primary among the PostgreSQL servers that a URL names."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

import asyncpg

from keyauthority.base.process.tasks import first_to_succeed
from keyauthority.base.relational.location import Host, PostgresUrl, hosts_in

CONNECT: Final = 2.0
"""Seconds that an attempt to connect to one host may take."""

HEAD_START: Final = 0.25
"""Seconds until the next host is tried as well, if one has not answered yet."""

SILENCE: Final = 4
"""Seconds after which a silent network counts as cut."""

POOLED: Final = (
    "a pooler before the database gives a session to several clients in turn (transaction or "
    "statement pooling); have it pool by session (pool_mode = session), or connect directly"
)

_STANDBY: Final = "SELECT pg_is_in_recovery()"
# A promotion begins a new timeline: the first eight digits of what the log is written to.
_PLACE: Final = """
SELECT system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint
FROM pg_control_system()
"""
# Set within the session: of the settings that a client begins with, a pooler passes on only a few,
# and some poolers refuse the rest.
_SET: Final = (
    "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) s(name, value)"
)
# Read back in another transaction: the settings have to outlast the one that set them.
_READ_BACK: Final = "SELECT name, current_setting(name) FROM unnest($1::text[]) s(name)"

_SERVER_PROBES: Final = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(SILENCE * 1000),
}
# Not on every system; without them a cut shows when a statement takes too long.
_PROBES: Final = {
    "TCP_KEEPIDLE": 2,
    "TCP_KEEPINTVL": 1,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": SILENCE * 1000,
}


class UnfitServerError(ConnectionError):
    """A server that answers but must not be used. The message is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class _Place:
    # The server of a connection. No two clusters have the same system; 0 if it is unknown.
    host: Host | None
    system: int
    timeline: int


class Primary:
    """The current primary, and the connections that lead to it no longer.

    A standby is passed over, and so is a former primary, once its successor has been seen.

    Args:
        url: Names the hosts. Each is tried by itself, so that a host that hangs does not block the
            others; the latest primary comes first.
        name: The name of the connections that the server's operator sees.
        settings: The settings of each session, with values as PostgreSQL shows them. A connection
            whose session does not keep them is refused.
        patience: Seconds that any statement may take, a commit too, where that does no harm.
    """

    def __init__(
        self,
        url: PostgresUrl,
        name: str,
        settings: Mapping[str, str],
        patience: float | None = None,
    ) -> None:
        self._url = url
        self._name = name
        self._settings = settings
        self._patience = patience
        self._hosts: list[Host] | None = None
        self._places: WeakKeyDictionary[asyncpg.Connection, _Place] = WeakKeyDictionary()
        self._newest: dict[int, int] = {}
        self._doubted: WeakSet[asyncpg.Connection] = WeakSet()

    async def connect(self) -> asyncpg.Connection:
        """Returns a new connection to the primary.

        Raises the errors of asyncpg and the network, `TimeoutError`, `UnfitServerError`, and
        ValueError for a wrong URL.
        """
        if self._hosts is None:
            self._hosts = hosts_in(self._url, os.environ)
        attempts = [partial(self._connect, host) for host in self._hosts]
        driver = await first_to_succeed(attempts or [partial(self._connect, None)], HEAD_START)
        host = self._places[driver].host
        if host is not None:
            self._hosts.sort(key=lambda other: other != host)
        return driver

    def is_trusted(self, driver: asyncpg.Connection) -> bool:
        """Returns whether the connection may still be used."""
        return driver not in self._doubted

    def distrust(self, driver: asyncpg.Connection) -> None:
        """Notes that *driver* did not answer: no connection to its host is used any more.

        Work under way goes on: a commit, above all, is waited for.
        """
        silent = self._places.get(driver)
        if silent is None:
            return
        self._doubted.update(
            other for other, place in self._places.items() if place.host == silent.host
        )
        if self._hosts and silent.host is not None:
            self._hosts.sort(key=lambda host: host == silent.host)

    async def _connect(self, host: Host | None) -> asyncpg.Connection:
        driver: asyncpg.Connection | None = None
        where = {} if host is None else {"host": host.name, "port": host.port}
        try:
            async with asyncio.timeout(CONNECT):
                driver = await asyncpg.connect(
                    self._url.reveal(),
                    **where,
                    timeout=CONNECT,
                    command_timeout=self._patience,
                    # Checked below: a pooler may pass on the answer to another connection.
                    target_session_attrs="any",
                    server_settings={"application_name": self._name},
                )
                _probe(driver)
                await _check_no_standby(driver)
                self._place(driver, host, *await _system_and_timeline(driver))
                await _set_up(driver, self._settings)
        except BaseException:
            if driver is not None:
                driver.terminate()
            raise
        return driver

    def _place(
        self, driver: asyncpg.Connection, host: Host | None, system: int, timeline: int
    ) -> None:
        newest = self._newest.get(system, timeline)
        if timeline < newest:
            raise UnfitServerError("the database was the primary once, and another one is now")
        self._places[driver] = _Place(host, system, timeline)
        self._newest[system] = timeline
        if timeline > newest:
            # Answers of a former primary no longer count. The outcome of a commit that waits there is
            # looked up here.
            for other, place in list(self._places.items()):
                if place.system == system and place.timeline < timeline:
                    other.terminate()


async def check_sessions(connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
    """Raises `UnfitServerError` unless each connection has a server session to itself.

    A pooler that pools by transaction, or by statement, gives two clients in turn the same session,
    or one client several.
    """
    first = await connect()
    try:
        second = await connect()
        try:
            firsts, seconds = set(), set()
            for _ in range(5):
                firsts |= {await _session(first), await _session(first)}
                seconds |= {await _session(second), await _session(second)}
        finally:
            second.terminate()
    finally:
        first.terminate()
    if len(firsts) > 1 or len(seconds) > 1 or firsts & seconds:
        raise UnfitServerError(POOLED)


async def _session(driver: asyncpg.Connection) -> int:
    number: int = await driver.fetchval("SELECT pg_backend_pid()", timeout=CONNECT)
    return number


async def _check_no_standby(driver: asyncpg.Connection) -> None:
    # A standby answers by an older state, and after a failover an address may lead to one.
    if await driver.fetchval(_STANDBY):
        raise UnfitServerError("the database is a standby")


async def _system_and_timeline(driver: asyncpg.Connection) -> tuple[int, int]:
    try:
        system, timeline = await driver.fetchrow(_PLACE)
    except asyncpg.PostgresError:
        # Some managed databases don't tell. Then promotions stay unknown.
        return 0, 0
    return system, timeline


async def _set_up(driver: asyncpg.Connection, settings: Mapping[str, str]) -> None:
    every = {**_SERVER_PROBES, **settings}
    await driver.fetch(_SET, list(every), list(every.values()))
    for name, value in await driver.fetch(_READ_BACK, list(settings)):
        if value != settings[name]:
            raise UnfitServerError(
                f"the session has {name} = {value}, though it was set to {settings[name]}; if there "
                "is a pooler before the database, have it pool by session (pool_mode = session)"
            )


def _probe(driver: Any) -> None:
    own_socket = driver._transport.get_extra_info("socket")  # noqa: SLF001  # it has no other name
    if own_socket is None or own_socket.family == socket.AF_UNIX:
        return
    own_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES.items():
        if hasattr(socket, name):
            own_socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
