"""The sealed answers to retry-safe requests."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, insert, select

from keyauthority.domain.repositories import Replay
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.tables import replays


class SqlReplays:
    """`Replays` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def get(self, caller_id: str, request_id: str) -> Replay | None:
        # The second of two equal requests waits for the first, and is given its answer.
        await self._statements.alone(_named(caller_id, request_id))
        row = await self._statements.row(select(replays).where(_of(caller_id, request_id)))
        return None if row is None else _replay(row)

    async def put(self, replay: Replay) -> None:
        await self._statements.alone(_named(replay.caller_id, replay.request_id))
        of_request = _of(replay.caller_id, replay.request_id)
        await self._statements.destroy(delete(replays).where(of_request))
        await self._statements.count(insert(replays).values(asdict(replay)))

    async def prune(self, now: datetime) -> int:
        return await self._statements.destroy(delete(replays).where(replays.c.expire_time <= now))


def _of(caller_id: str, request_id: str) -> ColumnElement[bool]:
    return and_(replays.c.caller_id == caller_id, replays.c.request_id == request_id)


def _named(caller_id: str, request_id: str) -> str:
    return f"replay {caller_id} {request_id}"


def _replay(row: Any) -> Replay:
    return Replay(
        caller_id=row.caller_id,
        request_id=row.request_id,
        fingerprint=row.fingerprint,
        sealed=row.sealed,
        expire_time=row.expire_time,
    )
