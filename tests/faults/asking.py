"""The clients of one gateway and the upstream behind it: a process in the gateway's namespace.

    python -m tests.faults.asking PLACE PORT METRICS_PORT UPSTREAM_PORT NEWS RECORDS

Asks about the secrets that appear in the file NEWS, again and again and long after they are over, and
writes what came of it to RECORDS. A question counts as accepted if it got an answer of the upstream's
or reached it at all. A line with `burst` has one secret asked about on many new connections at once;
about one that is `quiet` nobody asks otherwise. Ends at SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from keyauthority.base.process import clocks
from tests.e2e.questions import LOST, Questions
from tests.faults.history import Ask, Hits, Outcome, Recorder

CONNECTIONS = 6
PAUSE = 0.03
"""Seconds between two questions on one connection, on average."""

BURST = 12

PATIENCE = 3.0
NEWEST, REMEMBERED = 30, 600
"""Secrets asked about: one of the newest or, every other time, one of all that are remembered."""

OUTCOMES = {
    200: Outcome.ACCEPTED,
    401: Outcome.REFUSED,
    403: Outcome.SUSPENDED,
    503: Outcome.NO_VERDICT,
}

_number = re.compile(rb"\r\nx-question: (\d+)\r\n", re.IGNORECASE).search
_hits = re.compile(rb'^gateway_verdicts_total{result="hit"} (\S+)$', re.MULTILINE).search


class Upstream:
    """Answers everything, and remembers which questions reached it."""

    def __init__(self) -> None:
        self.reached: set[int] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                found = _number(await reader.readuntil(b"\r\n\r\n"))
                if found:
                    self.reached.add(int(found[1]))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()


class News:
    """The file that says what there is to ask about."""

    def __init__(self, path: Path) -> None:
        self.secrets: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)
        self._file = path.open()
        self._texts: dict[int, str] = {}

    def any(self) -> tuple[int, str]:
        """Some secret, as likely one of the newest as any."""
        newest = random.random() < 0.5
        return random.choice(list(self.secrets)[-NEWEST:] if newest else self.secrets)

    async def bursts(self) -> AsyncIterator[tuple[int, str]]:
        """Follows the file; gives what is to be asked about at once."""
        line = ""
        while True:
            line += self._file.readline()
            if not line.endswith("\n"):
                await asyncio.sleep(0.005)
                continue
            news, line = json.loads(line), ""
            number = news["secret"]
            if "burst" in news:
                yield number, self._texts[number]
                continue
            self._texts[number] = news["text"]
            if not news["quiet"]:
                self.secrets.append((number, news["text"]))


class Client:
    """Asks over connections that it keeps open."""

    def __init__(self, place: str, port: int, news: News) -> None:
        self.asked: dict[int, Ask] = {}
        self._place = place
        self._port = port
        self._news = news
        self._bursts: list[asyncio.Task[Questions | None]] = []

    async def ask_always(self) -> None:
        questions: Questions | None = None
        while True:
            await asyncio.sleep(random.expovariate(1 / PAUSE))
            if self._news.secrets:
                questions = await self._tried(questions, *self._news.any())

    async def ask_in_bursts(self) -> None:
        async for secret in self._news.bursts():
            self._bursts = [asyncio.create_task(self._tried(None, *secret)) for _ in range(BURST)]

    async def _tried(self, questions: Questions | None, secret: int, text: str) -> Questions | None:
        try:
            async with asyncio.timeout(PATIENCE):
                questions = questions or await Questions.to(self._port)
                await self._ask(questions, secret, text)
        except LOST:
            pass
        else:
            if not questions.is_over:
                return questions
        if questions is not None:
            questions.abort()
        return None

    async def _ask(self, questions: Questions, secret: int, text: str) -> None:
        number = len(self.asked)
        invoked = clocks.boottime()
        self.asked[number] = Ask(self._place, secret, invoked, None, Outcome.UNKNOWN)
        questions.send(text, "/v1/models", f"X-Question: {number}")
        status = await questions.status()
        outcome = OUTCOMES.get(status, Outcome.UNEXPECTED)
        self.asked[number] = Ask(self._place, secret, invoked, clocks.boottime(), outcome)


async def scrape(place: str, port: int, recorder: Recorder) -> None:
    """Writes down the gateway's count of hits, before each of its ends as nearly as can be."""
    while True:
        await asyncio.sleep(0.1)
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
                found = _hits(await reader.read())
                writer.close()
            if found:
                recorder.write(Hits(place, int(float(found[1]))))


def settled(ask: Ask, question: int, reached: set[int]) -> Ask:
    """What became of it, with what the upstream saw."""
    if question in reached and ask.outcome is not Outcome.ACCEPTED:
        return Ask(ask.place, ask.secret, ask.invoked, ask.returned, Outcome.ACCEPTED)
    return ask


async def main(
    place: str, port: str, metrics_port: str, upstream_port: str, news_file: str, records: str
) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    upstream, news = Upstream(), News(Path(news_file))
    client, recorder = Client(place, int(port), news), Recorder(Path(records))
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", int(upstream_port))
    tasks = [
        asyncio.create_task(work)
        for work in (
            client.ask_in_bursts(),
            scrape(place, int(metrics_port), recorder),
            *(client.ask_always() for _ in range(CONNECTIONS)),
        )
    ]
    tasks.append(asyncio.create_task(_set(stop)))
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    server.close()
    for question, ask in client.asked.items():
        recorder.write(settled(ask, question, upstream.reached))
    recorder.close()
    for task in done:
        task.result()


async def _set(event: asyncio.Event) -> None:
    await event.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
