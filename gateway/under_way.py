"""Requests under way: how many a key may have, and which end when their key dies."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from gateway.envelope import Refusal
from gateway.request import EdgeRequest
from keyauthority.client import VerificationUnavailable, VerifiedKey

_PATIENCE: Final = 4.0
"""Seconds that a request may run on while nobody says whether its key, which changed, still lives:
hardly longer than a verdict from memory might have been acted upon."""

_PAUSE: Final = 0.1


class Shares:
    """Counts the requests of each key that are under way, from acceptance to the last byte.

    Args:
        most: Requests of one key at a time.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._running: dict[str, int] = {}

    def enter(self, key_id: str) -> bool:
        """Take in a request of a key; False if it has as many as it may."""
        running = self._running.get(key_id, 0)
        if running >= self._most:
            return False
        self._running[key_id] = running + 1
        return True

    def leave(self, key_id: str) -> None:
        """Note the end of a request that was taken in."""
        running = self._running[key_id] - 1
        if running:
            self._running[key_id] = running
        else:
            del self._running[key_id]


Judge = Callable[[EdgeRequest], Awaitable[Refusal | None]]


@dataclass(slots=True, eq=False)
class _Stream:
    request: EdgeRequest
    task: asyncio.Task[object]
    # Whether something changed since the running check, if any, was begun.
    doubtful: bool = False
    check: asyncio.Task[None] | None = None


class Streams:
    """The requests that were accepted and have not ended, by what their verdicts rest on.

    Args:
        judge: Tells why the key of a request, which was accepted, may act no more; None if it may.
            Raises `VerificationUnavailable` if no verdict can be had.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge_once = judge
        self._by_subject: defaultdict[str, set[_Stream]] = defaultdict(set)

    @contextmanager
    def watching(self, request: EdgeRequest, key: VerifiedKey) -> Iterator[None]:
        """Cut *request* off if *key* dies within the context: its task is cancelled.

        `request.cut` is then why, to be told to the client.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - where there is a request, there is its task
        stream = _Stream(request, task)
        subjects = (key.id, key.workspace_id)
        for subject in subjects:
            self._by_subject[subject].add(stream)
        try:
            yield
        finally:
            for subject in subjects:
                self._forget(subject, stream)
            if stream.check is not None:
                stream.check.cancel()

    def changed(self, subjects: frozenset[str] | None) -> None:
        """Judge anew what rests on *subjects*, ids of keys and workspaces; None: everything."""
        for subject in self._by_subject.keys() if subjects is None else subjects:
            for stream in self._by_subject.get(subject, ()):
                stream.doubtful = True
                if stream.check is None:
                    stream.check = asyncio.create_task(self._check(stream))

    async def _check(self, stream: _Stream) -> None:
        try:
            while stream.doubtful:
                stream.doubtful = False
                refusal = await self._judge(stream.request)
                if refusal is not None:
                    stream.request.cut = refusal
                    stream.task.cancel()
                    return
        finally:
            stream.check = None

    async def _judge(self, request: EdgeRequest) -> Refusal | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        while loop.time() < deadline:
            try:
                return await self._judge_once(request)
            except VerificationUnavailable:
                await asyncio.sleep(_PAUSE)
        return Refusal.VERIFICATION_UNAVAILABLE

    def _forget(self, subject: str, stream: _Stream) -> None:
        streams = self._by_subject[subject]
        streams.discard(stream)
        if not streams:
            del self._by_subject[subject]
