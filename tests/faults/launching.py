"""Runs a program of the product, with a fault seeded into it if `SEEDED` names some.

    SEEDED=no_wait,... python -m tests.faults.launching MODULE ARGUMENT...

Bugs break a rule of the protocol; the tests have to notice. Delays only make likely what may happen
anyway; with them alone the promises hold.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from keyauthority.base.process import clocks
from keyauthority.coherence.cache import Ask, CoherentCache, SyncCall
from keyauthority.coherence.sessions import Janitor
from keyauthority.domain.sessions import Head, Receipt
from keyauthority.replica.fence import SessionFence
from keyauthority.rpc.leased import Leased
from keyauthority.rpc.verification import VerificationServicer
from keyauthority.storage.postgres.sessions import PostgresSessions
from keyauthority.storage.tables import head


def no_wait() -> None:
    """A change is answered as soon as it is durable."""

    async def wait(self: SessionFence, revision: int) -> Receipt:
        return Receipt(revision)

    SessionFence.wait = wait  # type: ignore[method-assign]


def lease_from_receipt() -> None:
    """A lease runs from the moment the reply to its request came."""
    shipped = CoherentCache.apply

    def apply(self: CoherentCache[Any], call: SyncCall, *reply: Any, **more: Any) -> bool:
        late = replace(call, sent=clocks.boottime())
        return shipped(self, late, *reply, **more)

    CoherentCache.apply = apply  # type: ignore[method-assign]


def no_inflight_guard() -> None:
    """An answer counts, whatever was applied since it was read."""

    def stands(self: CoherentCache[Any], ask: Ask, head: Head) -> bool:
        return True

    CoherentCache.stands = stands  # type: ignore[method-assign]


def janitor_without_beats() -> None:
    """A session is ended W after it was first seen, however often its verifier was heard since."""

    def look(
        self: Janitor, sessions: Iterable[tuple[str, int]], now: float, wait: float
    ) -> list[tuple[str, int]]:
        now_there = list(sessions)
        since: dict[str, float] = getattr(self, "_since", {})
        self._since = {name: since.get(name, now) for name, _ in now_there}  # type: ignore[attr-defined]
        return [each for each in now_there if now - self._since[each[0]] >= wait]  # type: ignore[attr-defined]

    Janitor.look = look  # type: ignore[method-assign]


def answers_without_lease() -> None:
    """A process that has lost its lease goes on telling what its database has and lacks."""

    def judged(self: Leased, failure: BaseException) -> BaseException:
        return failure

    Leased.judged = judged  # type: ignore[method-assign]
    Leased.check_before_change = lambda self: None  # type: ignore[method-assign]
    Leased.check_answer = lambda self, *, of_change: None  # type: ignore[method-assign]


def slow_verify_replies() -> None:
    """A delay: half of the verdicts are on their way for a while after they were read."""
    shipped = VerificationServicer.Verify
    count = 0

    async def verify(self: Any, request: Any, context: Any) -> Any:
        nonlocal count
        count += 1
        slow = count % 2
        reply = await shipped(self, request, context)
        await asyncio.sleep(0.15 * slow)
        return reply

    VerificationServicer.Verify = verify  # type: ignore[assignment, method-assign]


def slow_joins() -> None:
    """Delays: a join takes long between its reading and its commit; then replies take a while."""
    _slow_joins(locked=True)


def joins_without_lock() -> None:
    """A join reads the head without keeping changes from being made meanwhile; and slow, as above."""
    _slow_joins(locked=False)


def _slow_joins(*, locked: bool) -> None:
    join, renew = PostgresSessions.join, PostgresSessions.renew

    async def slow_join(self: Any, *arguments: Any) -> Any:
        return await join(PostgresSessions(_Slow(self._database, locked)), *arguments)  # type: ignore[arg-type]

    async def slow_renew(self: Any, *arguments: Any) -> Any:
        grant = await renew(self, *arguments)
        await asyncio.sleep(0.3)
        return grant

    PostgresSessions.join = slow_join  # type: ignore[assignment, method-assign]
    PostgresSessions.renew = slow_renew  # type: ignore[assignment, method-assign]


class _Slow:
    """A database whose transactions take long before they are committed."""

    def __init__(self, database: Any, locked: bool) -> None:
        self._database = database
        self._locked = locked

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Any]:
        async with self._database.changing() as statements:
            yield statements if self._locked else _Unlocked(statements)
            await asyncio.sleep(0.5)


class _Unlocked:
    """Statements of which none locks rows that it reads."""

    def __init__(self, statements: Any) -> None:
        self._statements = statements

    def __getattr__(self, name: str) -> Any:
        return getattr(self._statements, name)

    async def rows(self, query: Any) -> Any:
        if query._for_update_arg is not None:
            query = select(head.c.epoch, head.c.revision)
        return await self._statements.rows(query)


SEEDS: dict[str, Callable[[], None]] = {
    seed.__name__: seed
    for seed in (
        no_wait,
        lease_from_receipt,
        no_inflight_guard,
        janitor_without_beats,
        joins_without_lock,
        answers_without_lease,
        slow_verify_replies,
        slow_joins,
    )
}


def main() -> None:
    for name in filter(None, os.environ.get("SEEDED", "").split(",")):
        SEEDS[name]()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
