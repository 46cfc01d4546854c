"""The authority's books behind gates of a test, which counts who reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from keyauthority.config import Settings
from keyauthority.domain.callers import Caller
from keyauthority.domain.ports import Clock, Keyring, Sessions, Snapshot, Store
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import REPLICA, Claim, Grant
from keyauthority.storage.bootstrap import books_and_keyring
from tests.rpc.parts import Gate


class GatedBooks:
    """A `Store` around the one that the settings name.

    `reads` counts the readings for verdicts, `changes` how often the books were opened to change, `callers` how often each caller was
    looked up, `keys` how often each key was read for a verdict (under the empty id, what was
    presented as no key's secret). Every reading of verdicts or of the head raises `failure` if there
    is one; what was read for verdicts goes through `answers`, and what the authority says of its own
    session through `renewals` and `leaving`.
    """

    sessions: Sessions
    changes_at_once = 1

    def __init__(self) -> None:
        self.changes = self.reads = 0
        self.keys = Counter[str]()
        self.callers = Counter[str]()
        self.failure: Exception | None = None
        self.answers, self.renewals, self.leaving = Gate(), Gate(), Gate()

    @asynccontextmanager
    async def open(
        self, settings: Settings, clock: Clock | None = None
    ) -> AsyncIterator[tuple[Store, Keyring]]:
        """Takes the place of `books_and_keyring`."""
        async with books_and_keyring(settings, clock) as (store, keyring):
            self._store = store
            sessions: Any = _GatedSessions(store.sessions, self)
            self.sessions = sessions
            yield self, keyring

    async def snapshot(
        self,
        key_ids: Sequence[str],
        digests: Sequence[bytes] = (),
        secrets: Sequence[bytes] | None = None,
    ) -> Snapshot:
        if self.failure is not None:
            raise self.failure
        snapshot = await self._store.snapshot(key_ids, digests, secrets)
        if secrets is not None:
            self.reads += 1
            self.keys.update(key_ids or [""])
            await self.answers.go_through()
        return snapshot

    async def caller(self, caller_id: str) -> Caller | None:
        self.callers[caller_id] += 1
        return await self._store.caller(caller_id)

    async def read(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        return await self._store.read(work)

    async def change(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        self.changes += 1
        return await self._store.change(work)


class _GatedSessions:
    def __init__(self, sessions: Sessions, books: GatedBooks) -> None:
        self._sessions = sessions
        self._books = books

    async def renew(self, session_id: str, caller_id: str, claim: Claim) -> Grant:
        if caller_id == REPLICA:
            await self._books.renewals.go_through()
        return await self._sessions.renew(session_id, caller_id, claim)

    async def leave(self, session_id: str, caller_id: str) -> None:
        if caller_id == REPLICA:
            await self._books.leaving.go_through()
        await self._sessions.leave(session_id, caller_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sessions, name)
