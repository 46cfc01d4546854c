"""The sessions of the one process that has a SQLite file."""

from __future__ import annotations

from sqlalchemy import select

from keyauthority.domain.allowances import Allowance
from keyauthority.domain.ports import Clock
from keyauthority.domain.revisions import Claim
from keyauthority.domain.sessions import Grant, Terms
from keyauthority.storage.alone import SessionsAlone
from keyauthority.storage.sql import grants
from keyauthority.storage.sql.leases import TERMS, terms_of
from keyauthority.storage.sqlite.database import SqliteDatabase

_TERMS = select(*TERMS)


class SqliteSessions(SessionsAlone):
    """`Sessions` in memory, beside the file."""

    def __init__(self, database: SqliteDatabase, clock: Clock) -> None:
        super().__init__(clock)
        self._database = database

    async def _grant(
        self, session_id: str, caller_id: str, claim: Claim, allowance: Allowance
    ) -> Grant:
        rows = await self._database.read(grants.GRANT, caller_id=caller_id, revision=claim.revision)
        return grants.grant(rows, session_id, caller_id, claim, allowance)

    async def _terms(self) -> Terms:
        return terms_of(*(await self._database.read(_TERMS))[0])
