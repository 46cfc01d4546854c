"""Who is at the other end of a connection, as gRPC writes it (`ipv4:10.0.0.7:41522`), and its share."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import unquote

from keyauthority.domain.errors import KeyAuthorityError, Reason

_PREFIX: Final = 4
"""The groups of an IPv6 address that tell one site's network from another's."""


def host_of(peer: str) -> str:
    """The host that *peer* is a connection of: an IPv6 one by its /64, which one site has whole."""
    family, _, address = peer.partition(":")
    host = address.rpartition(":")[0]
    if family != "ipv6":
        return f"{family}:{host}"
    groups = ipaddress.ip_address(unquote(host).strip("[]").partition("%")[0]).exploded
    return f"{family}:{':'.join(groups.split(':')[:_PREFIX])}"


class PeerPlaces:
    """Places that no peer can fill alone, for calls that anybody may make.

    A connection has up to *per_connection*, a host as many as it leaves free: one alone half of
    them, a second one half of the rest. An IPv6 host counts with its /64. Whoever comes by a Unix
    socket was let in by its permissions, and is only counted.
    """

    def __init__(self, most: int, per_connection: int) -> None:
        self._most = most
        self._per_connection = per_connection
        self._taken = 0
        self._of: Counter[str] = Counter()

    @contextmanager
    def place(self, peer: str) -> Iterator[None]:
        """Takes a place for a call of *peer* until this is left.

        Raises `OVERLOADED` if there is none for it.
        """
        self._enter(peer)
        try:
            yield
        finally:
            self._leave(peer)

    def _enter(self, peer: str) -> None:
        free = self._most - self._taken
        if free <= 0 or not self._has_room(peer, free):
            raise KeyAuthorityError(Reason.OVERLOADED, "too many calls of this kind are under way")
        self._taken += 1
        self._of.update((peer, host_of(peer)))

    def _leave(self, peer: str) -> None:
        self._taken -= 1
        for one in (peer, host_of(peer)):
            self._of[one] -= 1
            if not self._of[one]:
                del self._of[one]

    def _has_room(self, peer: str, free: int) -> bool:
        if peer.startswith("unix:"):
            return True
        return self._of[peer] < self._per_connection and self._of[host_of(peer)] < free
