"""What names resolve to, followed for as long as a client lives.

gRPC's own resolver waits 30 seconds before it looks again, and hides from its caller which of a name's
addresses a call went to: a call that failed could not be asked of another one.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from keyauthority.client.addresses import Address

LOOKED_UP_EVERY: Final = 10.0
"""Seconds between two look-ups while all is well: so late a name's move is seen if the old address
goes on answering."""

NOT_SOONER: Final = 0.5
"""Seconds between two look-ups in any case."""


@dataclass(frozen=True, slots=True)
class Target:
    """One replica: the address that is dialled, and the HOST:PORT it stands for if that is a name."""

    address: str
    called: str = ""


def look_up(name: str, port: int) -> tuple[str, ...]:
    """The addresses of *name*, by the system's resolver. Raises OSError."""
    answers = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    # Those of one link only mean nothing without it, and are no way to reach a server.
    hosts = [str(answer[4][0]) for answer in answers if "%" not in str(answer[4][0])]
    return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)


class Names:
    """The replicas behind *addresses*, kept up to date by a thread of its own.

    `targets` is one tuple until something changes, then another one. A name that was never found is
    left to gRPC; one that is found no more keeps what it had.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        look_up: Callable[[str, int], tuple[str, ...]] = look_up,
    ) -> None:
        self._addresses = addresses
        self._look_up = look_up
        self._found: dict[Address, tuple[Target, ...]] = {
            address: (Target(address.text),) for address in addresses
        }
        self._doubted = threading.Event()
        self._closed = threading.Event()
        self.targets = self._all()
        if any(address.name for address in addresses):
            threading.Thread(target=self._follow, name="names", daemon=True).start()

    def doubt(self) -> None:
        """A replica did not answer: its name may have moved, so look now."""
        self._doubted.set()

    def close(self) -> None:
        """Ends the thread. A look-up that hangs holds up nobody."""
        self._closed.set()
        self._doubted.set()

    def _follow(self) -> None:
        while not self._closed.is_set():
            self._doubted.clear()
            for address in self._addresses:
                self._look(address)
            if self.targets != (targets := self._all()):
                self.targets = targets
            self._closed.wait(NOT_SOONER)
            self._doubted.wait(LOOKED_UP_EVERY)

    def _look(self, address: Address) -> None:
        if not address.name:
            return
        try:
            found = self._look_up(address.name, address.port)
        except (OSError, UnicodeError):
            return
        if found:
            self._found[address] = tuple(Target(one, address.text) for one in sorted(set(found)))

    def _all(self) -> tuple[Target, ...]:
        # Two names may lead to one replica.
        by_address = {one.address: one for many in self._found.values() for one in many}
        return tuple(by_address.values())
