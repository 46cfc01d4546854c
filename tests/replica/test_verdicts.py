"""What a process may tell that is not the only one to write the books."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from keyauthority import boottime
from keyauthority.coherence.cache import CoherentCache
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.revisions import Head
from keyauthority.domain.verdicts import Verdict, Verification
from keyauthority.replica.verdicts import Verdicts


class Books:
    """A database that is at revision 7 of epoch 1."""

    async def verify_all(self, presented: Sequence[str], _: int = 0) -> list[Verification]:
        return [Verification(Verdict.UNKNOWN, None, 1, 7, timedelta()) for _ in presented]


def verdicts(applied: int, lease: float, *, alone: bool = False) -> Verdicts:
    cache: Any = CoherentCache(10)
    call = cache.begin_sync(boottime.now())
    assert cache.apply(call, "session_1", Head(1, applied), None, lease)
    books: Any = Books()
    return Verdicts(books, cache, alone=alone)


async def ask(asked: Verdicts) -> Reason | None:
    try:
        await asked.verify_all(["x"], 0, fresh=True)
    except KeyAuthorityError as error:
        return error.reason
    return None


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (lambda: verdicts(7, 60.0), None),
        # Its lease is over: others may go on with another database.
        (lambda: verdicts(7, -1.0), Reason.LEASE_LOST),
        # What it read is older than what its session has acknowledged: a connection led elsewhere.
        (lambda: verdicts(8, 60.0), Reason.LEASE_LOST),
        # Nobody else writes.
        (lambda: verdicts(7, -1.0, alone=True), None),
    ],
)
async def test_only_what_its_lease_is_for(asked: Any, why: Reason | None) -> None:
    """A process that is left with an old primary falls silent, fresh or not."""
    assert await ask(asked()) is why
