"""Types README's two commands, `make run` and `make test`, in this clone, and says how they went.

    python3 scripts/newcomer.py

It takes other ports than README's where those are in use.
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
    """A command did not do what README says; the message is what it did."""


def main() -> int:
    """Types both commands; returns 0 if both went well."""
    os.chdir(Path(__file__).parents[1])
    report, code = [f"fresh machine: {_commit()}, Python {sys.version.split()[0]}"], 0
    for name, command in (("make run", run), ("make test", test)):
        try:
            report.append(f"{name}: {command()}")
        except FailedError as error:
            report.append(f"{name}: FAILED: {error}")
            code = 1
    print("\n" + "\n".join(report), flush=True)
    return code


def run() -> str:
    """Starts the demo, types what it prints, and presses Ctrl-C; returns how that went."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.monotonic()
        # In a group of its own, as a terminal has it: Ctrl-C reaches all of it.
        process = subprocess.Popen(
            ["make", "run"],
            env={**os.environ, **_moved_ports()},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            welcome = _welcome(process, output)
            seconds = time.monotonic() - start
            answer = _answer(welcome)
        finally:
            _press_ctrl_c(process)
    return f"serves after {seconds:.0f} s, answers {answer}, and stops"


def test() -> str:
    """Runs and shows every test; returns the closing line and what was skipped."""
    with tempfile.NamedTemporaryFile("r") as log:
        command = ["sh", "-c", f"make test 2>&1 | tee {log.name}"]
        try:
            subprocess.run(command, check=False, timeout=TESTED_WITHIN)
        except subprocess.TimeoutExpired:
            raise FailedError(f"not over after {TESTED_WITHIN:.0f} s") from None
        output = log.read()
    closing = re.findall(r"^=+ (.* in [\d.]+s.*?) =*$", output, re.MULTILINE)
    if not closing or "failed" in closing[-1] or "error" in closing[-1]:
        raise FailedError(closing[-1] if closing else output[-500:])
    skipped = re.search(r"^=+ skipped, and .*?\n(.*?)^=", output, re.MULTILINE | re.DOTALL)
    return "\n".join([closing[-1], *(skipped[1].splitlines() if skipped else [])])


def _welcome(process: subprocess.Popen[bytes], output: IO[str]) -> str:
    deadline = time.monotonic() + SERVES_WITHIN
    while time.monotonic() < deadline:
        output.seek(0)
        text = output.read()
        if "Ctrl-C stops" in text:
            return text
        if process.poll() is not None:
            raise FailedError(f"ended with code {process.returncode}: {text[-500:]}")
        time.sleep(0.1)
    raise FailedError(f"doesn't serve after {SERVES_WITHIN:.0f} s: {text[-500:]}")


def _answer(welcome: str) -> str:
    curl = re.search(r"^  (curl (?:.*\\\n)*.*)$", welcome, re.MULTILINE)
    if curl is None:
        raise FailedError(f"prints no curl: {welcome[-500:]}")
    answer = subprocess.run(
        ["sh", "-c", curl[1]], capture_output=True, text=True, check=False, timeout=60
    )
    words = re.search(r'"content": "(You said: Hello)', answer.stdout)
    if words is None:
        raise FailedError(f"the printed curl gets: {answer.stdout}{answer.stderr}")
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
        with socket.socket() as usual, socket.socket() as other:
            usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                usual.bind(("127.0.0.1", port))
            except OSError:
                other.bind(("127.0.0.1", 0))
                moved[variable] = str(other.getsockname()[1])
    return moved


def _commit() -> str:
    command = ["git", "log", "-1", "--format=%h"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
