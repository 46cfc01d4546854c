"""One service as several processes: started, replaced when they die, stopped together.

The parent serves nothing. Each worker is a fresh interpreter, never a fork, which the state of gRPC,
event loops and threads does not survive. A socket pair joins the two: on it the worker sends that it
has started, and sees that the parent is gone.
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
from keyauthority.base.process.settings import address_of, host_and_port

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds before a dead worker is replaced; doubled each time, unless it lived for a while."""

_A_WHILE: Final = 10.0


class WorkerError(Exception):
    """A worker could not start, and has written why. `code` is its exit code, never 0."""

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
    # The place of a worker, which starts at `due` if there is none.
    index: int
    worker: _Worker | None = None
    pause: float = FIRST_PAUSE
    due: float | None = None


class Workers:
    """Runs *count* workers until SIGTERM or SIGINT.

    Args:
        command: Returns the command line of a worker by its number, counted from 0. A worker
            shares the parent's standard error.
        count: How many.
        on_started: Called when all workers serve.
        on_death: Called when a worker that had started died and will be replaced, with its number
            and exit code (that of `subprocess`: negative for a signal).
        on_stop: Called at a signal to stop, before the workers get it.
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
        # A worker that has started or ended, or None for a signal to stop.
        self._events: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()

    def run(self) -> int:
        """Runs until a signal to stop; returns the worst exit code of the workers.

        The workers start one after the other: what keeps one from starting keeps all, and should be
        reported once.

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
        # Returns False at a signal to stop.
        for seat in self._seats:
            worker = self._start(seat)
            while not worker.has_started:
                event = self._events.get()
                if event is None:
                    return False
                # A worker that started and died at once is replaced like any other.
                if event is worker and not worker.has_started:
                    raise WorkerError(_exit_code(worker.process.wait()) or 1)
        return True

    def _keep_running(self) -> None:
        running = True
        while running:
            for seat in self._seats:
                self._check(seat)
            with suppress(queue.Empty):
                running = self._events.get(timeout=self._until_due()) is not None

    def _check(self, seat: _Seat) -> None:
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
                # Ctrl-C goes to the parent alone, which stops the workers.
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
        # A worker that is still starting may die of the signal.
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
    # The code that a shell shows.
    return 128 - code if code < 0 else code


def serve_with_workers(
    program: str, module: str, *, count: int, listen: str, metrics_listen: str | None, **facts: Any
) -> int:
    """Runs *count* processes of *module* that share the port of *listen*; returns the exit code.

    Each gets the arguments of this process, and listens with a socket of its own, so that the kernel
    spreads connections evenly. (With one socket for all, the worker that wakes first accepts all
    waiting connections: one process would serve a client that opens its connections at once.) The
    *program* and the *facts* are logged.

    Raises `StartError` if the port is not free, `WorkerError` if a worker could not start.
    """
    log = structlog.get_logger()
    with reserve(listen) as reserved:
        host, port = reserved.getsockname()[:2]

        def command(index: int) -> list[str]:
            # Of a flag that occurs twice, the last one counts.
            own = ["--workers", "1", "--listen", address_of(host, port), "--share-port"]
            if metrics_listen is not None:
                own += ["--metrics-listen", worker_metrics(metrics_listen, index)]
            # Without -P, a folder of the module's name in the working directory would be run.
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
    """Returns where worker *index* serves its metrics: at *address*, that many ports further."""
    host, port = host_and_port(address, "--metrics-listen")
    return address_of(host, port + index if port else 0)
