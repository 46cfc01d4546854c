"""How a program starts, runs and stops, and how it says why it can't start."""

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
"""In a worker's environment: the number of the socket to its parent."""

STARTED: Final = b"s"
"""What a worker says on it when it serves."""


class StartError(Exception):
    """A program can't start. The message is one sentence that says what to do about it."""


@contextmanager
def start_errors(attempt: str) -> Iterator[None]:
    """Raises what the system says against *attempt*, such as `read FILE`, as `StartError`."""
    try:
        yield
    except OSError as error:
        raise StartError(f"cannot {attempt}: {error.strerror or error}") from None


@contextmanager
def reading_errors() -> Iterator[None]:
    """Raises what the system says of a file that can't be read as `StartError`."""
    try:
        yield
    except OSError as error:
        raise StartError(f"cannot read {error.filename}: {error.strerror or error}") from None


async def run_until_stopped(
    program: str, running: AbstractAsyncContextManager[int], **facts: Any
) -> None:
    """Runs *running*, which yields its port, until SIGTERM, SIGINT or the end of a worker's parent.

    Logs `serving` with the port and *facts*, `stopping` and `stopped`, each with the name of the
    *program*. A worker logs them as debug: its parent says them for all.
    """
    loop, stop, parent = asyncio.get_running_loop(), asyncio.Event(), parent_socket()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = structlog.get_logger()
    say = log.info if parent is None else log.debug
    async with running as port:
        # What a start made stays to the end: collecting garbage need not walk over it each time.
        gc.collect()
        gc.freeze()
        if parent is not None:
            loop.add_reader(parent, stop.set)
            tell_started(parent)
        say("serving", program=program, port=port, **facts)
        await stop.wait()
        if parent is not None:
            loop.remove_reader(parent)
        say("stopping", program=program)
    say("stopped", program=program)


def parent_socket() -> socket.socket | None:
    """In a worker: the socket to its parent, for `tell_started`; None if the process is none.

    It becomes readable when the parent is gone: then the worker has to stop. To be called once.
    """
    number = os.environ.pop(WORKER_SOCKET, None)
    return None if number is None else socket.socket(fileno=int(number))


def tell_started(parent: socket.socket) -> None:
    """Tells the *parent* that this worker serves."""
    with suppress(OSError):
        parent.send(STARTED)
