"""Secrets that were not accepted before: they wait for their turn, and many share a call."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from keyauthority.client.lines import Lines

BATCH: Final = 64
"""Secrets in one call: one more costs a small part of what a call costs."""


@dataclass(frozen=True, slots=True)
class Question:
    """A secret to be asked about, and who presented it."""

    secret: str = field(repr=False)
    digest: bytes
    source: str
    suspect: bool


class Strangers:
    """Asks about secrets that wait in the lines of their sources.

    Args:
        ask: Asks about some secrets, to the end; raises nothing.
        spawn: Runs that on its own.
        calls: Calls under way at a time. What comes meanwhile shares the next one.
        waiting: Secrets that wait at a time.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[Question]], Coroutine[Any, Any, None]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        calls: int,
        waiting: int,
    ) -> None:
        self._ask = ask
        self._spawn = spawn
        self._lines: Lines[Question] = Lines(waiting)
        self._idle = calls
        self._asked = 0

    def __len__(self) -> int:
        return self._asked + len(self._lines)

    def join(self, question: Question) -> bool:
        """Takes in *question*; False if there is no room for it."""
        if not self._lines.join(question.source, question):
            return False
        if self._idle:
            self._idle -= 1
            self._spawn(self._work())
        return True

    async def _work(self) -> None:
        try:
            while batch := self._next():
                self._asked += len(batch)
                try:
                    await self._ask(batch)
                finally:
                    self._asked -= len(batch)
        finally:
            self._idle += 1

    def _next(self) -> list[Question]:
        return [self._lines.next() for _ in range(min(BATCH, len(self._lines)))]
