"""Refused attempts: of known callers in the audit, of strangers counted in the log, and slowed down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.peers import PeerPlaces, Turns

AUDITED_A_MINUTE: Final = 10
"""How many refusals of one caller are audited in a minute; more would only be noise."""

LOGGED_EVERY: Final = 10.0
"""Seconds between two log lines about strangers."""

AT_ONCE: Final = 4
SECONDS: Final = 0.01
"""How long the turn of one refusal lasts: with four at once, 400 are answered in a second."""

WAITING: Final = 4_000
WAITING_PER_CONNECTION: Final = 1_000

log = structlog.get_logger()


class Refusals:
    """Keeps account of refused attempts without letting them flood anything."""

    def __init__(self, books: Books, now: Callable[[], float]) -> None:
        self._books = books
        self._now = now
        self._minute = 0
        self._audited: dict[str, int] = {}
        self._strangers = 0
        self._logged = -LOGGED_EVERY

    async def of_caller(self, actor: Actor) -> None:
        """Audits that a known caller lacked the role for a call, or the right to act for people."""
        if not self._is_due(actor.caller.id):
            return
        try:
            await self._books.record(actor, _refused)
        except KeyAuthorityError as error:
            # The attempt is refused all the same.
            log.error(  # noqa: TRY400  # the store logs its own traceback
                "refusal_not_audited", caller=actor.caller.id, reason=error.reason.name
            )

    def of_stranger(self, method: str, source: str) -> None:
        """Counts a call without a credential, or with one that is not accepted."""
        self._strangers += 1
        now = self._now()
        if now - self._logged >= LOGGED_EVERY:
            log.warning("unauthenticated", method=method, source=source, attempts=self._strangers)
            self._logged, self._strangers = now, 0

    def _is_due(self, caller_id: str) -> bool:
        minute = int(self._now() // 60)
        if minute != self._minute:
            self._minute, self._audited = minute, {}
        count = self._audited[caller_id] = self._audited.get(caller_id, 0) + 1
        return count <= AUDITED_A_MINUTE


async def _refused(change: Change) -> None:
    change.records(Fact(Action.ATTEMPT_REFUSED))


class Brake:
    """Delays the refusals of strangers, if there are many: a flood of strangers slows itself down.

    A refusal costs as much of the process's time as an answer. A stranger that waits for one sends no
    more, and known callers get that time. The first few are refused at once, then each connection in
    its turn.
    """

    def __init__(self) -> None:
        self._turns = Turns(AT_ONCE)
        self._waiting = PeerPlaces(WAITING, WAITING_PER_CONNECTION)

    async def wait(self, peer: str) -> None:
        """Returns when a call of *peer* may be refused; raises `OVERLOADED` if too many wait."""
        with self._waiting.place(peer):
            await self._turns.acquire(peer)
        # The turn goes on when the call is over.
        asyncio.get_running_loop().call_later(SECONDS, self._turns.release)
