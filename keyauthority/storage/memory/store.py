"""The books in memory as a `Store`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from keyauthority.base.process.tasks import to_the_end
from keyauthority.domain.callers import Caller
from keyauthority.domain.keys import UNKNOWN, Key
from keyauthority.domain.peppers import used
from keyauthority.domain.ports import Clock, Snapshot
from keyauthority.domain.repositories import Transaction
from keyauthority.storage.errors import CLOSED, unavailable
from keyauthority.storage.memory.books import Books
from keyauthority.storage.memory.keys import MemoryKeys
from keyauthority.storage.memory.leases import MemoryFeed, MemoryLeases, MemorySessions, head
from keyauthority.storage.memory.ledger import MemoryLedger
from keyauthority.storage.memory.prices import MemoryPrices
from keyauthority.storage.memory.records import (
    MemoryAuditLog,
    MemoryCallers,
    MemoryLastUses,
    MemoryPeppers,
    MemoryReplays,
    MemoryWorkspaces,
)
from keyauthority.storage.memory.slices import MemorySlices

Result = TypeVar("Result")


class MemoryStore:
    """`Store` without a database: a change is a copy that takes the place of the original."""

    changes_at_once = 1

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._books: Books | None = Books()
        self._changing = asyncio.Lock()
        self.sessions = MemorySessions(self._open, clock)

    async def snapshot(
        self,
        key_ids: Sequence[str],
        digests: Sequence[bytes] = (),
        secrets: Sequence[bytes] | None = None,
    ) -> Snapshot:
        books = self._open()
        imports = {digest: books.imports[digest] for digest in digests if digest in books.imports}
        records = (books.keys.get(key_id) for key_id in (*key_ids, *imports.values()))
        keys = {key.id: _without_people(key) for key in records if key is not None}
        if secrets is not None:
            narrowed = (_narrowed(key, secrets) for key in keys.values())
            keys = {key.id: key for key in narrowed if key.secrets}
            imports = {digest: key_id for digest, key_id in imports.items() if key_id in keys}
        workspaces = (books.workspaces[key.workspace_id] for key in keys.values())
        suspended = frozenset(workspace.id for workspace in workspaces if workspace.suspended)
        return Snapshot(
            head=head(books),
            time=self._clock.now(),
            keys=keys,
            suspended=suspended,
            imports=imports,
            foreign_secrets=books.terms.foreign_secrets,
            newest_pepper=max(used(books.peppers.values()), default=0),
        )

    async def caller(self, caller_id: str) -> Caller | None:
        return self._open().callers.get(caller_id)

    async def read(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        return await work(_transaction(self._open().copy(), self._clock.now()))

    async def change(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        return await to_the_end(self._change(work))

    async def close(self) -> None:
        """Forgets everything, once no change is under way."""
        async with self._changing:
            self._books = None

    async def _change(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        async with self._changing:
            draft = self._open().copy()
            result = await work(_transaction(draft, self._clock.now()))
            if draft.epoch != self._open().epoch:
                self.sessions.clear()
            self._books = draft
        return result

    def _open(self) -> Books:
        if self._books is None:
            raise unavailable(CLOSED)
        return self._books


def _transaction(books: Books, time: datetime) -> Transaction:
    return Transaction(
        time=time,
        keys=MemoryKeys(books, time),
        workspaces=MemoryWorkspaces(books, time),
        callers=MemoryCallers(books, time),
        feed=MemoryFeed(books, time),
        leases=MemoryLeases(books, time),
        audit=MemoryAuditLog(books, time),
        peppers=MemoryPeppers(books, time),
        replays=MemoryReplays(books, time),
        last_used=MemoryLastUses(books, time),
        ledger=MemoryLedger(books, time),
        prices=MemoryPrices(books, time),
        slices=MemorySlices(books, time),
        savepoint=books.savepoint,
    )


def _without_people(key: Key) -> Key:
    return replace(
        key,
        creator=UNKNOWN,
        secrets=tuple(replace(secret, creator=UNKNOWN) for secret in key.secrets),
        revocation=key.revocation and replace(key.revocation, by=UNKNOWN),
    )


def _narrowed(key: Key, digests: Sequence[bytes]) -> Key:
    return replace(key, secrets=tuple(secret for secret in key.secrets if secret.digest in digests))
