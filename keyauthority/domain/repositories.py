"""The books as the domain sees them: the repositories of one transaction.

`tests/conformance` holds every promise made here against every store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.callers import Caller
from keyauthority.domain.credit_repositories import Ledger, Prices, Slices
from keyauthority.domain.keys import Key, KeyState, StoredSecret
from keyauthority.domain.last_used import Marks
from keyauthority.domain.peppers import Pepper
from keyauthority.domain.sessions import Head, Terms
from keyauthority.domain.workspaces import Workspace

Cursor = tuple[datetime, str]
"""The end of a page: the create time, or effective time, and id of its last record."""


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys to list. Empty strings and None match everything.

    `secret_creator_id` matches unrevoked keys with a secret of this creator that hasn't ended.
    """

    workspace_ids: tuple[str, ...] | None = None
    state: KeyState | None = None
    name_contains: str = ""
    creator_id: str = ""
    secret_creator_id: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """The sealed answer to a retry-safe request, stored until `expire_time`.

    `caller_id` ends with a space and the person's id if the caller acted for a person. `fingerprint`
    identifies the content of the request.
    """

    caller_id: str
    request_id: str
    fingerprint: bytes
    sealed: bytes
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A foreign secret of a key, without a seal or to be written with its seal."""

    key_id: str
    workspace_id: str
    secret: StoredSecret


class Keys(Protocol):
    """The keys, within one transaction."""

    async def get(self, key_ids: Iterable[str]) -> dict[str, Key]:
        """Returns those of *key_ids* that exist; a changing transaction locks them until its end."""

    async def homes(self, key_ids: Collection[str]) -> dict[str, str]:
        """Returns the workspace's id of those of *key_ids* that exist, without locks."""

    async def page(self, which: KeyFilter, limit: int, after: Cursor | None) -> list[Key]:
        """Returns up to *limit* keys after *after*, newest first (ties by descending id)."""

    async def insert(self, key: Key) -> None:
        """Adds a key with its secrets."""

    async def insert_imported(self, imported: Sequence[Key]) -> None:
        """Adds up to 1,000 keys, each with one foreign secret, in a few statements."""

    async def imported(self, digests: Iterable[bytes]) -> set[bytes]:
        """Returns those of *digests* that belong to a stored foreign secret."""

    async def never_sealed(self, limit: int, after: bytes) -> list[Unsealed]:
        """Returns up to *limit* foreign secrets without a seal, by digest, after *after*."""

    async def seal(self, sealed: Sequence[Unsealed]) -> None:
        """Stores the seals of these foreign secrets."""

    async def update(self, changes: Sequence[tuple[Key, Key]]) -> None:
        """Replaces up to 1,000 keys (before, after) in a few statements.

        A secret that *after* lacks is deleted. The creator of a key stays unchanged.
        """


class Workspaces(Protocol):
    """The workspaces, within one transaction."""

    async def get(self, workspace_id: str) -> Workspace | None:
        """Returns the workspace; nobody changes it before a changing transaction ends."""

    async def to_change(self, workspace_id: str) -> Workspace | None:
        """Returns the workspace, locked for `update`."""

    async def get_all(self, workspace_ids: Iterable[str]) -> dict[str, Workspace]:
        """Returns those of *workspace_ids* that exist, without locks."""

    async def page(self, limit: int, after: Cursor | None) -> list[Workspace]:
        """Returns up to *limit* workspaces after *after*, newest first (ties by descending id)."""

    async def insert(self, workspace: Workspace) -> None:
        """Adds a workspace."""

    async def update(self, workspace: Workspace) -> None:
        """Replaces the workspace of that id."""


class Callers(Protocol):
    """The callers, within one transaction."""

    async def get(self, caller_id: str) -> Caller | None:
        """Returns the caller, revoked or not."""

    async def by_name(self, name: str) -> Caller | None:
        """Returns the unrevoked caller of that name."""

    async def by_certificate(self, certificate_names: Iterable[str]) -> Caller | None:
        """Returns an unrevoked caller with one of those certificate names."""

    async def page(self, limit: int, after: Cursor | None) -> list[Caller]:
        """Returns up to *limit* callers, revoked or not, newest first (ties by descending id)."""

    async def never_sealed(self) -> list[Caller]:
        """Returns the unrevoked callers without a seal."""

    async def admins(self) -> int:
        """Locks the unrevoked callers with the role `ADMIN` and returns how many there are."""

    async def insert(self, caller: Caller) -> None:
        """Adds a caller.

        Raises `KeyAuthorityError`: `CALLER_NAME_TAKEN` or `CERTIFICATE_NAME_TAKEN` by an unrevoked
        caller.
        """

    async def update(self, caller: Caller) -> None:
        """Replaces the caller of that id."""


class Feed(Protocol):
    """The verdict-changing changes, numbered in commit order without gaps."""

    async def head(self) -> Head:
        """Returns the latest revision and its epoch."""

    async def advance(self, subjects: Sequence[str]) -> int:
        """Gives each of *subjects* (key, workspace or caller ids) a revision; returns the last.

        Call it late in a transaction: from here on other changes of verdicts wait for this one.
        """

    async def since(self, revision: int, limit: int) -> list[tuple[int, str]]:
        """Returns up to *limit* (revision, subject) after *revision*, oldest first."""

    async def prune(self, keep: int) -> int:
        """Deletes all changes but the *keep* newest and returns how many."""


class Leases(Protocol):
    """The terms of leases, and whether leases are granted, within one transaction."""

    async def terms(self) -> Terms:
        """Returns the terms; a changing transaction locks them until its end."""

    async def put(self, terms: Terms) -> None:
        """Replaces the terms."""

    async def begin(self) -> bool:
        """Records that leases are granted from now on; returns whether `end` preceded.

        For a store of a single process, with its sessions in memory.
        """

    async def end(self) -> None:
        """Records that no lease is in force and none will be granted until the next `begin`."""

    async def begin_epoch(self, time: datetime) -> Head:
        """Begins the next epoch after a restore from backup: without sessions, and settling.

        Its number is *time* in milliseconds since 1970, so that no two epochs share one. Revisions
        continue.
        """


class AuditLog(Protocol):
    """The audit entries, within one transaction."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Writes entries under the next ids."""

    async def page(self, which: AuditFilter, limit: int, before: int | None) -> list[AuditEntry]:
        """Returns up to *limit* entries, newest first, with ids below *before*."""

    async def prune(self, before: datetime, limit: int) -> int:
        """Deletes up to *limit* entries older than *before* and returns how many."""


class Peppers(Protocol):
    """The pepper versions, within one transaction."""

    async def all(self) -> list[Pepper]:
        """Returns every version, oldest first; a changing transaction locks them against changes."""

    async def to_change(self) -> list[Pepper]:
        """Returns the same for a transaction that changes them; waits for transactions with `all`."""

    async def put(self, pepper: Pepper) -> None:
        """Adds the version, or replaces it."""

    async def uses(self) -> dict[int, int]:
        """Counts the credentials in force by version.

        These are unended secrets of unrevoked keys, and tokens of unrevoked callers.
        """

    async def forget(self, version: int) -> None:
        """Deletes the version's secrets, foreign ones too, and its digests of tokens.

        The times at which keys were last used stay.
        """


class Replays(Protocol):
    """The sealed answers to retry-safe requests, within one transaction."""

    async def get(self, caller_id: str, request_id: str) -> Replay | None:
        """Returns the stored answer to that request, expired or not."""

    async def put(self, replay: Replay) -> None:
        """Stores an answer in place of an expired one to the same request."""

    async def prune(self, now: datetime) -> int:
        """Deletes the answers that expire at *now* or before and returns how many."""


class LastUses(Protocol):
    """When secrets were last used, within one transaction. No verdict depends on it."""

    async def note(self, marks: Marks) -> None:
        """Stores *marks*, except where a later use of the secret is stored."""

    async def of(self, key_ids: Sequence[str]) -> dict[str, dict[bytes, datetime]]:
        """Returns for each used key the times by digest, deleted secrets included.

        The empty digest stands for all secrets of retired peppers.
        """


@dataclass(frozen=True, slots=True)
class Transaction:
    """The open books: all reads see one state, all writes are one change.

    A store that lacks one of the repositories does not type-check. `time` is the start of the
    transaction, in microseconds, by the clock that decides about expiry. `savepoint` opens a block of
    a change: an exception undoes what the block did, and nothing else, and passes through.
    """

    time: datetime
    keys: Keys
    workspaces: Workspaces
    callers: Callers
    feed: Feed
    leases: Leases
    audit: AuditLog
    peppers: Peppers
    replays: Replays
    last_used: LastUses
    ledger: Ledger
    prices: Prices
    slices: Slices
    savepoint: Callable[[], AbstractAsyncContextManager[None]]
