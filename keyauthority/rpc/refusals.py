"""Attempts that were refused: of known callers into the audit, of unknown ones counted in the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.facts import Action, Fact

AUDITED_A_MINUTE: Final = 10
"""How many refusals of one caller are written down in a minute; the rest would only be noise."""

LOGGED_EVERY: Final = 10.0
"""Seconds between two log lines about callers nobody knows."""

log = structlog.get_logger()


class Refusals:
    """Keeps account of refused attempts without letting them flood anything."""

    def __init__(self, books: Books, now: Callable[[], float]) -> None:
        self._books = books
        self._now = now
        self._minute = 0
        self._audited: dict[str, int] = {}
        self._unknown = 0
        self._logged = -LOGGED_EVERY

    async def of_caller(self, actor: Actor) -> None:
        """A known caller lacked the role, or the right to act for people, for what it tried."""
        if not self._due(actor.caller.id):
            return
        try:
            await self._books.record(actor, _refused)
        except KeyAuthorityError as error:
            # The attempt is refused all the same.
            log.error(  # noqa: TRY400  # the store logs its own traceback
                "refusal_not_audited", caller=actor.caller.id, reason=error.reason.name
            )

    def of_unknown(self, method: str, source: str) -> None:
        """Somebody called without a credential, or with one that is not accepted."""
        self._unknown += 1
        now = self._now()
        if now - self._logged >= LOGGED_EVERY:
            log.warning("unauthenticated", method=method, source=source, attempts=self._unknown)
            self._logged, self._unknown = now, 0

    def _due(self, caller_id: str) -> bool:
        minute = int(self._now() // 60)
        if minute != self._minute:
            self._minute, self._audited = minute, {}
        count = self._audited[caller_id] = self._audited.get(caller_id, 0) + 1
        return count <= AUDITED_A_MINUTE


async def _refused(change: Change) -> None:
    change.records(Fact(Action.ATTEMPT_REFUSED))
