"""One service as several processes: started, replaced when they die, stopped together.

The parent serves nothing. Each worker is a fresh interpreter, never a fork: what gRPC, event loops
and threads hold does not survive one. A socket pair joins the two: the worker says on it that it
has started, and reads from it that the parent is gone.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

import structlog

from keyauthority.base.process.binding import reserve
from keyauthority.base.process.lifecycle import STARTED, WORKER_SOCKET
from keyauthority.base.process.settings import host_and_port, joined

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds before a worker that died is replaced; doubled each time, unless it lived for a while."""

_A_WHILE: Final = 10.0


class WorkerError(Exception):
    """A worker could not start; it has said why. `code` is what it ended with, never 0."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a worker could not start: it ended with {code}")
        self.code = code


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    born: float
    has_started: bool = False


@dataclass(slots=True)
class _Seat:
    # Where a worker is, or will be at `due`.
    index: int
    worker: _Worker | None = None
    pause: float = FIRST_PAUSE
    due: float | None = None


class Workers:
    """Runs *count* workers until SIGTERM or SIGINT.

    Args:
        command: What to run as the worker of a number, counted from 0. What it has to tell people
            it writes to the standard error that it shares with the parent.
        count: How many.
        on_started: Called when all of them serve.
        on_death: Called when one that had started is about to be replaced, with its number and
            exit code (as `subprocess` tells it: negative for a signal).
        on_stop: Called when told to stop, before they are.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        count: int,
        *,
        on_started: Callable[[], None],
        on_death: Callable[[int, int], None],
        on_stop: Callable[[], None],
    ) -> None:
        self._command = command
        self._seats = [_Seat(index) for index in range(count)]
        self._on_started = on_started
        self._on_death = on_death
        self._on_stop = on_stop
        # A worker has started or ended, or None: we are told to stop.
        self._events: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()

    def run(self) -> int:
        """The exit code for the parent: the worst of those that the workers end with.

        The workers are started one after the other: what keeps one from starting keeps all, and is
        to be said once.

        Raises `WorkerError` if one ended before it had started; the others are stopped.
        """
        with self._signals():
            try:
                if self._start_all():
                    self._on_started()
                    self._keep_running()
            except WorkerError:
                self._stop_all()
                raise
            self._on_stop()
            return self._stop_all()

    def _start_all(self) -> bool:
        # False if told to stop meanwhile.
        for seat in self._seats:
            worker = self._start(seat)
            while not worker.has_started:
                event = self._events.get()
                if event is None:
                    return False
                # One that started and died at once is replaced like any other.
                if event is worker and not worker.has_started:
                    raise WorkerError(_exit_code(worker.process.wait()) or 1)
        return True

    def _keep_running(self) -> None:
        going = True
        while going:
            for seat in self._seats:
                self._look_after(seat)
            with suppress(queue.Empty):
                going = self._events.get(timeout=self._until_due()) is not None

    def _look_after(self, seat: _Seat) -> None:
        now = time.monotonic()
        if seat.worker is not None and (code := seat.worker.process.poll()) is not None:
            if now - seat.worker.born > _A_WHILE:
                seat.pause = FIRST_PAUSE
            seat.worker, seat.due = None, now + seat.pause
            seat.pause = min(2 * seat.pause, LONGEST_PAUSE)
            self._on_death(seat.index, code)
        elif seat.due is not None and now >= seat.due:
            self._start(seat)

    def _until_due(self) -> float | None:
        due = [seat.due for seat in self._seats if seat.due is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _start(self, seat: _Seat) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - our own program
                self._command(seat.index),
                pass_fds=(theirs.fileno(),),
                env={**os.environ, WORKER_SOCKET: str(theirs.fileno())},
                # Ctrl-C is for the parent, which passes it on.
                start_new_session=True,
            )
        seat.worker, seat.due = _Worker(process, time.monotonic()), None
        threading.Thread(target=self._follow, args=(seat.worker, ours), daemon=True).start()
        return seat.worker

    def _follow(self, worker: _Worker, ours: socket.socket) -> None:
        with ours:
            worker.has_started = ours.recv(1) == STARTED
            self._events.put(worker)
            worker.process.wait()
            self._events.put(worker)

    def _stop_all(self) -> int:
        running = [seat.worker for seat in self._seats if seat.worker is not None]
        for worker in running:
            worker.process.terminate()
        for worker in running:
            worker.process.wait()
        # One that is still starting may know no better than to die of the signal.
        codes = [_exit_code(worker.process.returncode) for worker in running if worker.has_started]
        return max(codes, default=0)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._events.put(None)

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _exit_code(code: int) -> int:
    # As a shell tells it.
    return 128 - code if code < 0 else code


def serve_with_workers(
    program: str, module: str, *, count: int, listen: str, metrics_listen: str | None, **facts: Any
) -> int:
    """Runs *count* processes of *module* that share the port of *listen*; returns the exit code.

    Each is started with the arguments of this process, and listens with a socket of its own: the
    kernel deals connections out evenly. (From one socket that all accept from, whichever worker
    wakes first takes all that wait: a client that opens its connections in one go would be served
    by a single process.) The *program* and the *facts* are logged.

    Raises `StartError` if the port can't be had, `WorkerError` if a worker could not start and has
    said why.
    """
    log = structlog.get_logger()
    with reserve(listen) as reserved:
        host, port = reserved.getsockname()[:2]

        def command(index: int) -> list[str]:
            # The last of two equal flags counts.
            own = ["--workers", "1", "--listen", joined(host, port), "--share-port"]
            if metrics_listen is not None:
                own += ["--metrics-listen", worker_metrics(metrics_listen, index)]
            # With -P, a folder of the module's name where the operator stands is not run instead.
            return [sys.executable, "-P", "-m", module, *sys.argv[1:], *own]

        code = Workers(
            command,
            count,
            on_started=lambda: log.info(
                "serving", program=program, listen=listen, port=port, workers=count, **facts
            ),
            on_death=lambda index, code: log.error(
                "worker_died", program=program, worker=index, exit_code=code
            ),
            on_stop=lambda: log.info("stopping", program=program),
        ).run()
    log.info("stopped", program=program)
    return code


def worker_metrics(address: str, index: int) -> str:
    """Where the worker of number *index* serves its metrics: *address*, that many ports further."""
    host, port = host_and_port(address, "--metrics-listen")
    return joined(host, port + index if port else 0)
