"""What names resolve to, followed for as long as a client lives.

gRPC's own resolver waits 30 seconds before it looks again, and hides which of a name's addresses a call
went to: a call that failed could not be made to another address.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from keyauthority.client.addresses import Address

LOOKED_UP_EVERY: Final = 10.0
"""Seconds between two look-ups while all is well, until a name's move is seen if the old address goes on
answering."""

NOT_SOONER: Final = 0.5
"""Seconds between two look-ups at least."""


@dataclass(frozen=True, slots=True)
class Target:
    """One replica: the address to dial, and the HOST:PORT that was looked up, if it was."""

    address: str
    name: str = ""


def look_up(name: str, port: int) -> tuple[str, ...]:
    """Returns the addresses of *name*, by the system's resolver. Raises `OSError`."""
    answers = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    # An address with a scope means something on one link only.
    hosts = [str(answer[4][0]) for answer in answers if "%" not in str(answer[4][0])]
    return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)


class Names:
    """The replicas behind *addresses*, kept up to date by a thread of its own.

    `targets` is the same tuple until something changes. A name that was never found is left to gRPC;
    a name that is no longer found keeps its last targets.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        look_up: Callable[[str, int], tuple[str, ...]] = look_up,
    ) -> None:
        self._addresses = addresses
        self._look_up = look_up
        self._targets: dict[Address, tuple[Target, ...]] = {
            address: (Target(address.text),) for address in addresses
        }
        self._doubted = threading.Event()
        self._closed = threading.Event()
        self.targets = self._all()
        if any(address.name for address in addresses):
            threading.Thread(target=self._follow, name="names", daemon=True).start()

    def doubt(self) -> None:
        """Looks names up now: a replica did not answer, so its name may have moved."""
        self._doubted.set()

    def close(self) -> None:
        """Ends the thread, without waiting for a look-up under way."""
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
            addresses = self._look_up(address.name, address.port)
        except (OSError, UnicodeError):
            return
        if addresses:
            self._targets[address] = tuple(
                Target(target, address.text) for target in sorted(set(addresses))
            )

    def _all(self) -> tuple[Target, ...]:
        # Two names may lead to one replica.
        targets = itertools.chain.from_iterable(self._targets.values())
        return tuple({target.address: target for target in targets}.values())
