"""How a program starts, runs and stops, and why it can't start."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Any, Final

import structlog

WORKER_SOCKET: Final = "KEYAUTHORITY_WORKER_SOCKET"
"""The variable in a worker's environment with the number of the socket to its parent."""

STARTED: Final = b"s"
"""The byte that a worker sends on that socket when it serves."""

COLLECTIONS: Final = (5_000, 20, 5)
"""When Python looks for cycles: rarely, since a request or a call leaves few. By default that takes 8 %
of the time of a gateway's request, and 15 % with billing, which remembers each until the authority has
it."""


class StartError(Exception):
    """A program can't start. The message is one sentence that says what to do about it."""


@contextmanager
def start_errors(attempt: str = "") -> Iterator[None]:
    """Raises `StartError` for an `OSError` during *attempt*, which by default is to read a file."""
    try:
        yield
    except OSError as error:
        attempt = attempt or f"read {error.filename}"
        raise StartError(f"cannot {attempt}: {error.strerror or error}") from None


async def run_until_stopped(
    program: str, running: AbstractAsyncContextManager[int], **facts: Any
) -> None:
    """Runs *running*, which yields its port, until SIGTERM, SIGINT or the end of a worker's parent.

    Logs `serving` with the port and *facts*, `stopping` and `stopped`, each with the *program*. A
    worker logs these at debug level: its parent logs them for all.
    """
    gc.set_threshold(*COLLECTIONS)
    loop, stop, parent = asyncio.get_running_loop(), asyncio.Event(), parent_socket()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = structlog.get_logger()
    write = log.info if parent is None else log.debug
    async with running as port:
        if parent is not None:
            loop.add_reader(parent, stop.set)
            tell_started(parent)
        write("serving", program=program, port=port, **facts)
        await stop.wait()
        if parent is not None:
            loop.remove_reader(parent)
        write("stopping", program=program)
    write("stopped", program=program)


def parent_socket() -> socket.socket | None:
    """Returns a worker's socket to its parent, for `tell_started`; None if this is no worker.

    The socket becomes readable when the parent is gone: then the worker has to stop. Call this once.
    """
    number = os.environ.pop(WORKER_SOCKET, None)
    return None if number is None else socket.socket(fileno=int(number))


def tell_started(parent: socket.socket) -> None:
    """Tells the *parent* that this worker serves."""
    with suppress(OSError):
        parent.send(STARTED)
