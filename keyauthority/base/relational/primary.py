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
"""Seconds after which a network that says nothing is taken to be cut."""

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
# In the session and not as it is begun: a pooler passes on few of the settings that a client begins
# with, and some refuse the rest.
_SET: Final = (
    "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) s(name, value)"
)
# In a transaction of its own: what was set has to outlast the one before.
_READ_BACK: Final = "SELECT name, current_setting(name) FROM unnest($1::text[]) s(name)"

_SERVER_PROBES: Final = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(SILENCE * 1000),
}
# Not on every system; without them a cut is noticed when a statement takes too long.
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
    # What a connection leads to. No two clusters have the same system; 0 where nothing is told.
    host: Host | None
    system: int
    timeline: int


class Primary:
    """The primary, wherever it is at the moment, and which connections lead to it no longer.

    A server that answers but is a standby is passed over, and so is one that was the primary until
    another one was promoted, once that one has been seen.

    Args:
        url: Names the hosts. Each is tried by itself, so that one that hangs keeps nobody from the
            others; the one that was the primary last comes first.
        name: What the server's operator sees of who is connected.
        settings: What each session is set to, with values as PostgreSQL shows them. A connection
            whose session does not keep them is refused.
        patience: Seconds that any statement may take, a commit as well, where that is of no harm.
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
        """A connection to it.

        Raises what asyncpg and the network raise, `TimeoutError`, `UnfitServerError`, and ValueError
        if the URL can't be read.
        """
        if self._hosts is None:
            self._hosts = hosts_in(self._url, os.environ)
        attempts = [partial(self._connect, host) for host in self._hosts]
        driver = await first_to_succeed(attempts or [partial(self._connect, None)], HEAD_START)
        self._prefer(self._places[driver].host)
        return driver

    def is_trusted(self, driver: asyncpg.Connection) -> bool:
        """Whether whoever needs a connection may be given this one."""
        return driver not in self._doubted

    def silent(self, driver: asyncpg.Connection) -> None:
        """Says that there was no answer on *driver*: what was connected with it is used no more.

        Whoever is at it goes on: a commit, above all, is waited for.
        """
        place = self._places.get(driver)
        if place is None:
            return
        self._doubted.update(one for one, its in self._places.items() if its.host == place.host)
        if self._hosts and place.host is not None:
            self._hosts.sort(key=lambda host: host == place.host)

    def _prefer(self, host: Host | None) -> None:
        if self._hosts and host is not None:
            self._hosts.sort(key=lambda other: other != host)

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
                    # Looked at below: a pooler may pass on what another connection was told.
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
            self._end_older(system, timeline)

    def _end_older(self, system: int, timeline: int) -> None:
        # Nothing that a server says counts once another one has taken its place. A commit that waits
        # there is looked up here.
        for one, its in list(self._places.items()):
            if its.system == system and its.timeline < timeline:
                one.terminate()


async def check_sessions(connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
    """Raises `UnfitServerError` unless each connection has a session of the server's to itself.

    A pooler that deals out sessions by the transaction, or the statement, gives two clients in turn
    the same session, or one client several, in whatever order it deals.
    """
    one = await connect()
    try:
        another = await connect()
        try:
            first, second = set(), set()
            for _ in range(5):
                first |= {await _session(one), await _session(one)}
                second |= {await _session(another), await _session(another)}
        finally:
            another.terminate()
    finally:
        one.terminate()
    if len(first) > 1 or len(second) > 1 or first & second:
        raise UnfitServerError(POOLED)


async def _session(driver: asyncpg.Connection) -> int:
    number: int = await driver.fetchval("SELECT pg_backend_pid()", timeout=CONNECT)
    return number


async def _check_no_standby(driver: asyncpg.Connection) -> None:
    # It would tell the past, and after a failover an address may lead to one.
    if await driver.fetchval(_STANDBY):
        raise UnfitServerError("the database is a standby")


async def _system_and_timeline(driver: asyncpg.Connection) -> tuple[int, int]:
    try:
        system, timeline = await driver.fetchrow(_PLACE)
    except asyncpg.PostgresError:
        # Some that are operated by others don't tell. Then nothing is known of promotions.
        return 0, 0
    return system, timeline


async def _set_up(driver: asyncpg.Connection, settings: Mapping[str, str]) -> None:
    wanted = {**_SERVER_PROBES, **settings}
    await driver.fetch(_SET, list(wanted), list(wanted.values()))
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
