"""Requests under way: how many a key may have, and which end when their key dies."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from gateway.request import EdgeRequest
from keyauthority.client import VerificationUnavailable, VerifiedKey
from keyauthority.edge.envelope import Refusal

_PAUSE: Final = 0.1


class Concurrency:
    """Counts the requests of each key that are under way, from acceptance to the last byte.

    A key may have *most* at a time.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._running: dict[str, int] = {}

    def enter(self, key_id: str) -> bool:
        """Counts a request of a key; False, and uncounted, if the key has as many as it may."""
        running = self._running.get(key_id, 0)
        if running >= self._most:
            return False
        self._running[key_id] = running + 1
        return True

    def leave(self, key_id: str) -> None:
        """Notes the end of a request that was counted."""
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
    # Whether its key or workspace changed since the running check, if any, was begun.
    doubtful: bool = False
    check: asyncio.Task[None] | None = None


class Streams:
    """The requests that were accepted and have not ended, by the ids of their key and workspace.

    Args:
        judge: Returns why the key of a request, which was accepted, may act no more; None if it
            may. Raises `VerificationUnavailable` if no verdict can be had.
        patience: Seconds that a request runs on without a verdict on its key, which changed.
    """

    def __init__(self, judge: Judge, patience: float) -> None:
        self._judge_once = judge
        self._patience = patience
        self._by_subject: defaultdict[str, set[_Stream]] = defaultdict(set)

    @contextmanager
    def watching(self, request: EdgeRequest, key: VerifiedKey) -> Iterator[None]:
        """Cancels the task of *request* if *key* dies within the context; `request.cut` is why."""
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
        """Judges anew the requests of *subjects*, ids of keys and workspaces; None: all."""
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
        deadline = loop.time() + self._patience
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
