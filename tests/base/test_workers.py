"""Workers: started one by one, replaced when they die, stopped together."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PARENT = """
import os, sys
from keyauthority.base.process.workers import WorkerError, Workers
def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
family = Workers(
    lambda index: [sys.executable, sys.argv[1], str(index)],
    3,
    on_started=lambda: say("all started"),
    on_death=lambda index, code: say("died", index, code),
    on_stop=lambda: say("stopping"),
)
try:
    code = family.run()
except WorkerError as error:
    code = error.code
    say("failed")
sys.exit(code)
"""

WORKER = """
import os, signal, sys
from keyauthority.base.process.lifecycle import parent_socket, tell_started
index, parent = int(sys.argv[1]), parent_socket()
def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
def stop(*_):
    say("stopped", index)
    sys.exit(index)
signal.signal(signal.SIGTERM, stop)
{before}
say("worker", index)
tell_started(parent)
{after}
parent.recv(1)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a parent of three workers, which do something *before* and *after* they started."""
    running = []

    def start(before: str = "", after: str = "") -> subprocess.Popen[str]:
        parent, worker = tmp_path / "parent.py", tmp_path / "worker.py"
        parent.write_text(PARENT)
        worker.write_text(WORKER.format(before=before, after=after))
        process = subprocess.Popen(
            [sys.executable, str(parent), str(worker)], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.terminate()
        process.communicate()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


STARTED = ["worker 0", "worker 1", "worker 2", "all started"]


def test_they_are_started_in_turn_and_stopped_together(start: Start) -> None:
    """The parent ends with the worst of their codes."""
    process = start()
    assert lines(process, 4) == STARTED

    process.send_signal(signal.SIGTERM)

    rest, _ = process.communicate(timeout=20)
    said = rest.splitlines()
    assert said[0] == "stopping"
    assert sorted(said[1:]) == ["stopped 0", "stopped 1", "stopped 2"]
    assert process.returncode == 2


def test_one_that_cannot_start_keeps_all_from_starting(start: Start) -> None:
    """Those that started are stopped, those after it are never started; its code counts."""
    process = start(before="if index == 1: sys.exit(7)")

    said, _ = process.communicate(timeout=20)

    assert said.splitlines() == ["worker 0", "stopped 0", "failed"]
    assert process.returncode == 7


def test_one_that_dies_is_replaced_each_time(start: Start) -> None:
    """The others are left alone."""
    process = start(after="if index == 1: os.kill(os.getpid(), signal.SIGKILL)")
    assert sorted(lines(process, 4)) == sorted(STARTED)

    assert lines(process, 5) == ["died 1 -9", "worker 1", "died 1 -9", "worker 1", "died 1 -9"]


def test_one_that_cannot_start_again_is_tried_again(start: Start, tmp_path: Path) -> None:
    """What fails later fails one worker, not all: the cause may pass."""
    marker = tmp_path / "once"
    process = start(
        before=f"if index == 0 and os.path.exists({str(marker)!r}): sys.exit(1)",
        after=f"if index == 0: open({str(marker)!r}, 'w').close(); sys.exit(3)",
    )
    assert sorted(lines(process, 4)) == sorted(STARTED)
    assert lines(process, 3) == ["died 0 3", "died 0 1", "died 0 1"]

    marker.unlink()

    assert process.stdout is not None
    for line in process.stdout:
        if line == "worker 0\n":
            break
        assert line == "died 0 1\n"


def test_a_stop_while_they_start_stops_those_that_did(start: Start) -> None:
    """Without the rest, and without saying that all are there; how the others end is no matter."""
    process = start(before="if index == 1: say('waiting'); signal.pause()")
    assert lines(process, 2) == ["worker 0", "waiting"]

    process.send_signal(signal.SIGINT)

    said, _ = process.communicate(timeout=20)
    assert said.splitlines()[0] == "stopping"
    assert sorted(said.splitlines()[1:]) == ["stopped 0", "stopped 1"]
    assert process.returncode == 0
