"""Somebody's verifier as a child process: questions to its standard input, answers from its output."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from keyauthority.verifier_check.news import News

ADDRESS: Final = "KEYAUTHORITY_ADDRESS"
TOKEN: Final = "KEYAUTHORITY_TOKEN"

LONGEST_LINE: Final = 4096
"""Bytes of an answer."""

LINGERS: Final = 1.0
"""Seconds in which the output of a program ends after the program was ended."""


class ChildProgram:
    """A running program; see `docs/sync-protocol.md` for what it reads and writes."""

    def __init__(self, process: asyncio.subprocess.Process, news: News) -> None:
        self.answers: dict[int, str] = {}
        self.fault = ""
        self.ended = False
        self._process = process
        self._news = news
        self._closed = False

    def ask(self, question: int, secret: str) -> None:
        self._write(json.dumps({"id": question, "verify": secret}) + "\n")

    def close(self) -> None:
        self._closed = True
        if self._process.stdin is not None:
            self._process.stdin.close()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends the program, and all that it started. One of another user is told to end."""
        self._signal(signal.SIGKILL)
        self.close()

    async def listen(self) -> None:
        """Reads the answers until the program has ended."""
        assert self._process.stdout is not None  # noqa: S101  # it was started with a pipe
        try:
            while text := await self._process.stdout.readline():
                self._hear(text)
                self._news.tell()
        except ValueError:
            self.fault = f"writes a line of more than {LONGEST_LINE} bytes"
        exit_code = await self._process.wait()
        if not self._closed or exit_code != 0:
            self.fault = self.fault or f"ends with exit status {exit_code}"
        self.ended = True
        self._news.tell()

    def _hear(self, text: bytes) -> None:
        try:
            answer = json.loads(text)
            question, verdict = int(answer["id"]), str(answer["verdict"])
        except (ValueError, TypeError, KeyError):
            self.fault = 'writes a line that is not {"id": …, "verdict": …}'
            return
        if question in self.answers:
            self.fault = f"answers question {question} twice"
        self.answers.setdefault(question, verdict)

    def _write(self, text: str) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(text.encode())

    def _signal(self, number: signal.Signals) -> None:
        # It leads a process group of its own.
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            # It became another user's (sudo). Some systems say so of processes that have ended, too.
            self.fault = self.fault or f"can't be sent {number.name}: it is another user's"


@asynccontextmanager
async def started(
    command: Sequence[str], address: str, token: str, news: News
) -> AsyncIterator[ChildProgram]:
    """Runs *command*, whose environment has *address* and *token*. It has ended on leaving.

    Raises `OSError` if there is no such program.
    """
    environment: Mapping[str, str] = {**os.environ, ADDRESS: address, TOKEN: token}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        limit=LONGEST_LINE,
        start_new_session=True,
    )
    program = ChildProgram(process, news)
    listening = asyncio.create_task(program.listen())
    try:
        yield program
    finally:
        program.kill()
        # Somebody else may have its standard output, and have left its process group.
        await asyncio.wait({listening}, timeout=LINGERS)
        listening.cancel()
