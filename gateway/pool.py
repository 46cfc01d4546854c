"""Connections to the upstream: opened, kept while they are idle, and ended together."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import partial
from typing import Final, cast

from aiohttp import (
    AddrInfoType,
    ClientRequest,
    ClientTimeout,
    ConnectionTimeoutError,
    TCPConnector,
    hdrs,
)
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from gateway.connection import Connections, UpstreamConnection

# Bytes that the system takes in from the upstream before we read them. By itself it would take several
# MiB for each client that does not read. 128 KiB carry 1.3 MB/s over 100 ms, on each connection.
_WINDOW: Final = 128 * 1024


class UpstreamConnector(TCPConnector):
    """Opens connections to one upstream, and keeps those that are idle for a while.

    Args:
        url: Where the upstream is.
        patience: Seconds that a connection may take to be made.
        connections: Those that it opens.
        trust: Whose certificates the upstream may have; True: those that the system trusts.
    """

    def __init__(
        self,
        url: URL,
        patience: float,
        connections: Connections,
        trust: ssl.SSLContext | bool = True,
    ) -> None:
        super().__init__(limit=0, socket_factory=_small_window, ssl=trust)
        self._connections = connections
        factory = partial(UpstreamConnection, self._loop, connections)
        self._factory = cast("partial[ResponseHandler]", factory)
        self._target = ClientRequest(hdrs.METH_GET, url, loop=self._loop)
        self._timeout = ClientTimeout(sock_connect=patience)

    def take(self) -> UpstreamConnection | None:
        """Returns the connection that is idle for longest; None if none is."""
        idle = self._connections.idle
        return idle.popleft() if idle else None

    async def open(self) -> UpstreamConnection:
        """Returns a fresh connection; raises `ClientError` or `TimeoutError` if there is none."""
        try:
            opened = await self._create_connection(self._target, [], self._timeout)
        except TimeoutError as error:
            raise ConnectionTimeoutError("no connection to the upstream") from error
        connection = cast(UpstreamConnection, opened)
        if connection.connected:
            # Not earlier: if this is cancelled, uvloop ends the connection and tells nobody.
            self._connections.alive.add(connection)
        return connection

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Ends all connections."""
        alive = [connection for connection in self._connections.alive if connection.connected]
        ends = [end for connection in alive if (end := connection.closed) is not None]
        for connection in alive:
            connection.abort()
        await asyncio.gather(*ends, return_exceptions=True)
        await super().close(abort_ssl=abort_ssl)


def _small_window(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    connecting = socket.socket(family, kind, protocol)
    connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
    return connecting
