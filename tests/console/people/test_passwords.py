"""Passwords are hashed beside the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from console.people import StoreUnavailable
from console.people.passwords import AT_ONCE, MOST_WAITING, Passwords
from tests.console.people.parts import PASSWORD

MOST = AT_ONCE + MOST_WAITING


class Held(PasswordHasher):
    """Hashes what is waited for when it is let go."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go, self.begun = threading.Event(), threading.Semaphore(0)

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        if password == PASSWORD.encode():
            self.begun.release()
            self.go.wait(10)
        return super().hash(password, salt=salt)


@pytest.fixture
def hasher() -> Iterator[Held]:
    hasher = Held()
    yield hasher
    hasher.go.set()


async def wanted(passwords: Passwords, hasher: Held) -> list[asyncio.Task[str]]:
    """As many as may be: some are being hashed, the others wait."""
    tasks = [asyncio.create_task(passwords.hash(PASSWORD)) for _ in range(MOST)]
    for _ in range(AT_ONCE):
        assert await asyncio.to_thread(hasher.begun.acquire, timeout=30)
    return tasks


async def test_so_many_may_wait(hasher: Held) -> None:
    """Whoever comes then is sent away at once, with nothing decided; later there is room again."""
    passwords = Passwords(hasher)
    tasks = await wanted(passwords, hasher)

    with pytest.raises(StoreUnavailable):
        await passwords.hash(PASSWORD)
    with pytest.raises(StoreUnavailable):
        await passwords.verify(None, PASSWORD)
    hasher.go.set()

    assert len(set(await asyncio.gather(*tasks))) == MOST
    assert await passwords.verify(tasks[0].result(), PASSWORD)
    passwords.close()


async def test_closing_waits_for_no_queue(hasher: Held) -> None:
    """What has begun is finished, what hasn't never is."""
    passwords = Passwords(hasher)
    tasks = await wanted(passwords, hasher)

    closing = asyncio.create_task(asyncio.to_thread(passwords.close))
    while sum(task.cancelled() for task in tasks) < MOST - AT_ONCE:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    hasher.go.set()
    await closing

    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, str) for result in results) == AT_ONCE
