"""Types README's two commands, `make run` and `make test`, and says how they went.

    python3 scripts/newcomer.py

In the clone that this file is in. Other ports than README's are taken where those are in use.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Final

SERVES_WITHIN: Final = 900.0
STOPS_WITHIN: Final = 30.0
TESTED_WITHIN: Final = 2700.0
PORTS: Final = {
    "AUTHORITY_PORT": 50051,
    "GATEWAY_PORT": 8080,
    "CONSOLE_PORT": 8081,
    "UPSTREAM_PORT": 9090,
}


class FailedError(Exception):
    """A command did not do what README says; the message is how it went."""


def main() -> int:
    """Both commands, one after the other; 0 if both went well."""
    os.chdir(Path(__file__).parents[1])
    told, code = [f"fresh machine: {_commit()}, Python {sys.version.split()[0]}"], 0
    for name, command in (("make run", run), ("make test", test)):
        try:
            told.append(f"{name}: {command()}")
        except FailedError as error:
            told.append(f"{name}: FAILED: {error}")
            code = 1
    print("\n" + "\n".join(told), flush=True)
    return code


def run() -> str:
    """Starts it, does what it prints, and presses Ctrl-C."""
    with tempfile.TemporaryFile("w+") as output:
        begun = time.monotonic()
        # In a group of its own, as a terminal has it: Ctrl-C reaches all of it.
        process = subprocess.Popen(
            ["make", "run"],
            env={**os.environ, **_moved_ports()},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said = _welcome(process, output)
            seconds = time.monotonic() - begun
            answer = _answer(said)
        finally:
            _press_ctrl_c(process)
    return f"serves after {seconds:.0f} s, answers {answer}, and stops"


def test() -> str:
    """Runs every test, and shows what it says; its closing line and what was skipped."""
    with tempfile.NamedTemporaryFile("r") as log:
        command = ["sh", "-c", f"make test 2>&1 | tee {log.name}"]
        try:
            subprocess.run(command, check=False, timeout=TESTED_WITHIN)
        except subprocess.TimeoutExpired:
            raise FailedError(f"not over after {TESTED_WITHIN:.0f} s") from None
        said = log.read()
    closing = re.findall(r"^=+ (.* in [\d.]+s.*?) =*$", said, re.MULTILINE)
    if not closing or "failed" in closing[-1] or "error" in closing[-1]:
        raise FailedError(closing[-1] if closing else said[-500:])
    skipped = re.search(r"^=+ skipped, and .*?\n(.*?)^=", said, re.MULTILINE | re.DOTALL)
    return "\n".join([closing[-1], *(skipped[1].splitlines() if skipped else [])])


def _welcome(process: subprocess.Popen[bytes], output: IO[str]) -> str:
    deadline = time.monotonic() + SERVES_WITHIN
    while time.monotonic() < deadline:
        output.seek(0)
        said = output.read()
        if "Ctrl-C stops" in said:
            return said
        if process.poll() is not None:
            raise FailedError(f"ended with code {process.returncode}: {said[-500:]}")
        time.sleep(0.1)
    raise FailedError(f"doesn't serve after {SERVES_WITHIN:.0f} s: {said[-500:]}")


def _answer(said: str) -> str:
    match = re.search(r"^  (curl (?:.*\\\n)*.*)$", said, re.MULTILINE)
    if match is None:
        raise FailedError(f"prints no curl: {said[-500:]}")
    asked = subprocess.run(
        ["sh", "-c", match[1]], capture_output=True, text=True, check=False, timeout=60
    )
    words = re.search(r'"content": "(You said: Hello)', asked.stdout)
    if words is None:
        raise FailedError(f"the printed curl gets: {asked.stdout}{asked.stderr}")
    return repr(words[1])


def _press_ctrl_c(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise FailedError(f"runs on for {STOPS_WITHIN:.0f} s after Ctrl-C") from None


def _moved_ports() -> dict[str, str]:
    moved = {}
    for variable, port in PORTS.items():
        with socket.socket() as usual, socket.socket() as free:
            usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                usual.bind(("127.0.0.1", port))
            except OSError:
                free.bind(("127.0.0.1", 0))
                moved[variable] = str(free.getsockname()[1])
    return moved


def _commit() -> str:
    command = ["git", "log", "-1", "--format=%h"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
