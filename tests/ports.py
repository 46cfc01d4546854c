"""Ports for servers that tests start, before anything listens there.

Where a server can be told port 0 and says which one it got, that is better: it can't be lost.
"""

from __future__ import annotations

import atexit
import secrets
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

_FIRST: Final = 10_000
_LAST: Final = 32_767
_GIVEN_OUT: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")

_reserved: Final = ExitStack()
atexit.register(_reserved.close)


def free_port(count: int = 1) -> int:
    """The first of *count* ports in a row that nobody has.

    No test run on this machine is given them as well while this process lives, and the system gives
    them to no outgoing connection and to no server that asks for any port.
    """
    for _ in range(1_000):
        first = _FIRST + secrets.randbelow(_last() - _FIRST - count)
        with ExitStack() as reserving:
            try:
                for port in range(first, first + count):
                    reserve(port, reserving)
            except OSError:
                continue
            _reserved.push(reserving.pop_all())
            return first
    raise AssertionError(f"no {count} free ports in a row")


def reserve(port: int, reserving: ExitStack) -> None:
    """Keeps *port* from other runs until *reserving* is closed; raises `OSError` if one has it, or a
    server.
    """
    if sys.platform == "linux":
        # Beyond files: it ends with the process, and reaches exactly as far as loopback does.
        mark = reserving.enter_context(socket.socket(socket.AF_UNIX))
        mark.bind(f"\0keyauthority-tests-port-{port}")
    socket.create_server(("127.0.0.1", port)).close()


def _last() -> int:
    # From the first of these on the system gives out ports by itself.
    if not _GIVEN_OUT.exists():
        return _LAST
    first, _ = map(int, _GIVEN_OUT.read_text().split())
    return first - 1 if first > 2 * _FIRST else _LAST
