"""What a process may tell that is not the only one to write the books."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from keyauthority.base.process.clocks import boottime
from keyauthority.coherence.cache import CoherentCache
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.sessions import Head
from keyauthority.domain.verdicts import Verdict, Verification
from keyauthority.domain.verifying import Judged
from keyauthority.replica.metrics import ReplicaMetrics
from keyauthority.replica.verdicts import READS, Verdicts

UNJUDGEABLE = "stored under a pepper that is missing"


class Books:
    """A database that is at *revision* of epoch 1; what it is asked is overtaken *overtaken* times.

    A question is overtaken when the process applies the next change before the answer is there.
    """

    def __init__(self, revision: int, overtaken: int = 0, *, loses_lease: bool = False) -> None:
        self.cache: Any = CoherentCache(10)
        self.reads = 0
        self._revision = revision
        self._overtaken = overtaken
        self._loses_lease = loses_lease

    def apply(self, revision: int, lease: float) -> None:
        call = self.cache.begin_sync(boottime())
        assert self.cache.apply(call, "session_1", Head(1, revision), (), lease)

    async def judge_all(self, presented: Sequence[str]) -> Judged:
        self.reads += 1
        read = self._revision
        if self.reads <= self._overtaken:
            self._revision += 1
            self.apply(self._revision, 60.0)
            if self._loses_lease:
                self.cache.lose_lease()
        verdict = Verification(Verdict.UNKNOWN, None, 1, read, timedelta())
        mismatch = KeyAuthorityError(Reason.KEYRING_MISMATCH, "a pepper is missing")
        answers = [mismatch if secret == UNJUDGEABLE else verdict for secret in presented]
        return Judged(Head(1, read), answers)


def verdicts(books: Any, *, alone: bool = False) -> Verdicts:
    metrics = ReplicaMetrics(CollectorRegistry())
    return Verdicts(books, books.cache, alone=alone, now=boottime, metrics=metrics)


async def ask(applied: int, lease: float, *, alone: bool = False) -> Reason | None:
    books = Books(7)
    books.apply(applied, lease)
    try:
        await verdicts(books, alone=alone).verify_all(["x"], 0, fresh=True)
    except KeyAuthorityError as error:
        return error.reason
    return None


async def test_only_what_its_lease_is_for() -> None:
    """A process that is left with an old primary falls silent, fresh or not."""
    assert await ask(7, 60.0) is None
    # Its lease is over: others may go on with another database.
    assert await ask(7, -1.0) is Reason.LEASE_LOST
    # What it reads is older than what it had applied before it asked: a connection led elsewhere.
    assert await ask(8, 60.0) is Reason.LEASE_LOST
    # Nobody else writes.
    assert await ask(7, -1.0, alone=True) is None


@pytest.mark.parametrize(("overtaken", "reads", "revision"), [(0, 1, 7), (1, 2, 8), (2, 3, 9)])
async def test_what_a_change_overtook_is_read_again(
    overtaken: int, reads: int, revision: int
) -> None:
    """A lease that is held is not taken for lost since a change came between question and answer."""
    books = Books(7, overtaken)
    books.apply(7, 60.0)

    (verdict,) = await verdicts(books).verify_all(["x"], 0, fresh=True)

    assert (books.reads, verdict.revision) == (reads, revision)


async def test_changes_that_are_faster_than_reading_keep_nobody_waiting() -> None:
    """However many overtake it, an answer comes; it is of a moment after its question was sent."""
    books = Books(7, overtaken=1_000)
    books.apply(7, 60.0)

    (verdict,) = await verdicts(books).verify_all(["x"], 0, fresh=True)

    assert verdict.revision == 7 + READS - 1


async def test_a_lease_that_ends_while_books_are_read_again() -> None:
    """Nothing is told then, at once."""
    books = Books(7, overtaken=1, loses_lease=True)
    books.apply(7, 60.0)

    with pytest.raises(KeyAuthorityError) as raised:
        await verdicts(books).verify_all(["x"], 0, fresh=True)

    assert (raised.value.reason, books.reads) == (Reason.LEASE_LOST, 1)


async def test_one_that_can_not_be_judged_fails_no_other() -> None:
    """They were read together, and are not read again."""
    books = Books(7)
    books.apply(7, 60.0)
    asked = verdicts(books)

    answers: list[Any] = await asyncio.gather(
        *(asked.verify_all([secret], 0, fresh=True) for secret in ("x", UNJUDGEABLE, "y")),
        return_exceptions=True,
    )

    assert [answers[0][0].verdict, answers[2][0].verdict] == [Verdict.UNKNOWN, Verdict.UNKNOWN]
    assert answers[1].reason is Reason.KEYRING_MISMATCH
    assert books.reads == 1
