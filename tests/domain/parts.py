"""The use cases over some books, a fence that remembers, and actors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from keyauthority.domain.authenticating import Authenticating
from keyauthority.domain.books import Books
from keyauthority.domain.callers import Actor, Caller, Role
from keyauthority.domain.finding import Finding
from keyauthority.domain.importing import ImportedKey, Importing
from keyauthority.domain.issuing import Issuing, NewKey
from keyauthority.domain.keys import Key, KeySettings
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.managing_callers import ManagingCallers
from keyauthority.domain.managing_peppers import ManagingPeppers
from keyauthority.domain.managing_workspaces import ManagingWorkspaces
from keyauthority.domain.peppers import Pepper, PepperState
from keyauthority.domain.ports import Clock, Keyring, Snapshot, Store
from keyauthority.domain.reading_audit import ReadingAudit
from keyauthority.domain.replays import Retry
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.revoking import Revoking, RevokingPresented
from keyauthority.domain.secrets import Secret
from keyauthority.domain.sessions import Receipt
from keyauthority.domain.updating import KeyUpdate, Updating
from keyauthority.domain.verdicts import Verification
from keyauthority.domain.verifying import Verifying
from keyauthority.keyring import FileKeyring
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import START, a_caller
from tests.transactions import changing

ONCE = Retry("", b"")


class RecordingFence:
    """Asks nobody, and remembers for which revision it was asked and how far the books were then."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: list[int] = []
        self.durable: list[int] = []
        self.announced: list[int] = []

    def announce(self, revision: int) -> None:
        self.announced.append(revision)

    async def wait(self, revision: int) -> Receipt:
        self.asked.append(revision)
        self.durable.append((await self._store.snapshot([])).head.revision)
        return Receipt(revision, sessions_acknowledged=7, waited=timedelta(milliseconds=3))


class CountingKeyring(FileKeyring):
    """A keyring that counts its digests."""

    digests = 0

    def digest(self, version: int, record_id: str, secret: str) -> bytes:
        self.digests += 1
        return super().digest(version, record_id, secret)

    def digest_foreign(self, version: int, secret: str) -> bytes:
        self.digests += 1
        return super().digest_foreign(version, secret)


class WatchedStore(MemoryStore):
    """Books that count how often they are opened to change, and keep what is read for verdicts.

    Whatever is read for a verdict, `overtake` is awaited before it is handed on.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.changes = 0
        self.snapshots: list[Snapshot] = []
        self.overtake: Callable[[], Awaitable[object]] | None = None

    async def change(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        self.changes += 1
        return await super().change(work)

    async def snapshot(self, *args: Any) -> Snapshot:
        snapshot = await super().snapshot(*args)
        self.snapshots.append(snapshot)
        if self.overtake is not None:
            await self.overtake()
        return snapshot


def settings(**fields: Any) -> KeySettings:
    """What a key is set to, unless *fields* say otherwise."""
    return KeySettings(**{"name": "a key", **fields})


def an_update(**fields: Any) -> KeyUpdate:
    """An update of these fields."""
    return KeyUpdate(frozenset(fields), settings(**fields))


class UseCases:
    """All that can be done with the books in *store*."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self.store = store
        self.keyring = keyring
        self.fence = RecordingFence(store)
        self.books = books = Books(store, self.fence)
        self.last_used = LastUsed()
        self.issuing = Issuing(books, keyring, self.last_used)
        self.finding = Finding(books, store, keyring, self.last_used)
        self.updating = Updating(books, self.last_used)
        self.revoking = Revoking(books, self.last_used)
        self.importing = Importing(books, keyring)
        self.revoking_presented = RevokingPresented(books, store, keyring)
        self.verifying = Verifying(store, keyring, self.last_used)
        self.authenticating = Authenticating(books, store, keyring)
        self.callers = ManagingCallers(books, keyring)
        self.workspaces = ManagingWorkspaces(books)
        self.peppers = ManagingPeppers(books, keyring)
        self.audit = ReadingAudit(books)

    async def issue(
        self, actor: Actor, workspace_id: str = "ws_1", retry: Retry = ONCE, **fields: Any
    ) -> tuple[str, str]:
        """Issues a key; its id and its secret."""
        new = NewKey(workspace_id, ttl=fields.pop("ttl", None), settings=settings(**fields))
        return decoded(await self.issuing.issue(actor, new, retry, encoded))

    async def verify(self, secret: str, at_least_revision: int = 0) -> Verification:
        """Judges one secret."""
        [verification] = await self.verify_all([secret], at_least_revision)
        return verification

    async def verify_all(
        self, secrets: Sequence[str], at_least_revision: int = 0
    ) -> list[Verification]:
        """Judges secrets by one state of the books."""
        return (await self.verifying.judge_all(secrets)).verdicts(at_least_revision)

    async def take(
        self, actor: Actor, *secrets: str, workspace_id: str = "ws_1", **fields: Any
    ) -> list[Key]:
        """Imports keys with these secrets."""
        new = NewKey(workspace_id, settings(**fields))
        imported = [ImportedKey(Secret(secret), new) for secret in secrets]
        keys, _ = await self.importing.import_keys(actor, workspace_id, imported)
        return keys

    async def rotate(
        self, actor: Actor, key_id: str, overlap: timedelta = timedelta(), retry: Retry = ONCE
    ) -> tuple[str, str]:
        """Rotates a key; its id and its new secret."""
        answer, _ = await self.issuing.rotate(actor, key_id, overlap, retry, encoded)
        return decoded(answer)


def encoded(key: Key, now: datetime, secret: Secret) -> bytes:
    return f"{key.id} {secret.reveal()}".encode()


def decoded(answer: bytes) -> tuple[str, str]:
    key_id, secret = answer.decode().split()
    return key_id, secret


def an_actor(*workspace_ids: str, method: str = "IssueKey", caller: Caller | None = None) -> Actor:
    """An issuer, bound to *workspace_ids* if there are any."""
    roles = frozenset({Role.ISSUER})
    caller = caller or a_caller("caller_9", roles=roles, workspace_ids=workspace_ids)
    return Actor(caller, method, "192.0.2.1", "request-1")


async def put_peppers(store: Store, keyring: Keyring, active: int = 1) -> None:
    """Writes the keyring's versions into empty books, *active* the one in use."""
    async with changing(store) as tx:
        for version in keyring.versions():
            state = PepperState.ACTIVE if version == active else PepperState.SUPERSEDED
            await tx.peppers.put(Pepper(version, state, keyring.fingerprint(version), START))


async def put_workspaces(store: Store, workspaces: Sequence[Any]) -> None:
    async with changing(store) as tx:
        for workspace in workspaces:
            await tx.workspaces.insert(workspace)
