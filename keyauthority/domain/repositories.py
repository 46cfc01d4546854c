"""The books as the domain sees them: the repositories of one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.callers import Caller
from keyauthority.domain.keys import Key, KeyState, StoredSecret
from keyauthority.domain.last_used import Marks
from keyauthority.domain.peppers import Pepper
from keyauthority.domain.sessions import (
    Head,
    Terms,
)
from keyauthority.domain.workspaces import Workspace

Cursor = tuple[datetime, str]
"""Where a page ended: the create time and id of its last record."""


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys to list. `workspace_ids` None: of all; empty strings and None match everything.

    Of `secret_creator_id` are the keys that aren't revoked of which it was shown a secret that hasn't
    ended.
    """

    workspace_ids: tuple[str, ...] | None = None
    state: KeyState | None = None
    name_contains: str = ""
    creator_id: str = ""
    secret_creator_id: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """The sealed answer to a retry-safe request, kept until `expire_time`.

    `caller_id` is followed by a space and the id of the person that the caller acted for, if it did.
    `fingerprint` tells whether a repeat asks for the same thing.
    """

    caller_id: str
    request_id: str
    fingerprint: bytes
    sealed: bytes
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A foreign secret of a key, to be sealed."""

    key_id: str
    workspace_id: str
    secret: StoredSecret


class Keys(Protocol):
    """The keys, within one transaction."""

    async def get(self, key_ids: Iterable[str]) -> dict[str, Key]:
        """Those of *key_ids* that exist; in a changing transaction they stay locked until its end."""

    async def page(self, which: KeyFilter, limit: int, after: Cursor | None) -> list[Key]:
        """Up to *limit* keys, newest first (ties by id, downwards), after *after*."""

    async def insert(self, key: Key) -> None:
        """Adds a key with its secrets."""

    async def insert_imported(self, imported: Sequence[Key]) -> None:
        """Adds keys, each with one secret that is foreign and found by its digest from now on.

        Up to 1,000 at a time, in a few statements.
        """

    async def imported(self, digests: Iterable[bytes]) -> set[bytes]:
        """Those of *digests* that a foreign secret is kept under."""

    async def never_sealed(self, limit: int, after: bytes) -> list[Unsealed]:
        """Up to *limit* foreign secrets without a seal, by digest, those after *after*."""

    async def seal(self, sealed: Sequence[Unsealed]) -> None:
        """Keeps the seals of these foreign secrets."""

    async def update(self, changes: Sequence[tuple[Key, Key]]) -> None:
        """Replaces each (before, after): the record, and those of its secrets that changed.

        Who created a key stays as it is. Up to 1,000 at a time, in a few statements. A secret that is gone is no longer found either.
        """


class Workspaces(Protocol):
    """The workspaces, within one transaction."""

    async def get(self, workspace_id: str) -> Workspace | None:
        """The workspace; in a changing transaction it stays locked until its end."""

    async def get_all(self, workspace_ids: Iterable[str]) -> dict[str, Workspace]:
        """Those of *workspace_ids* that exist, to be read: they are not locked."""

    async def page(self, limit: int, after: Cursor | None) -> list[Workspace]:
        """Up to *limit* workspaces, newest first (ties by id, downwards), after *after*."""

    async def insert(self, workspace: Workspace) -> None:
        """Adds a workspace."""

    async def update(self, workspace: Workspace) -> None:
        """Replaces the workspace of that id."""


class Callers(Protocol):
    """The callers, within one transaction."""

    async def get(self, caller_id: str) -> Caller | None:
        """The caller, revoked or not."""

    async def by_name(self, name: str) -> Caller | None:
        """The caller of that name that is not revoked."""

    async def by_certificate(self, certificate_names: Iterable[str]) -> Caller | None:
        """A caller with one of those certificate names that is not revoked."""

    async def page(self, limit: int, after: Cursor | None) -> list[Caller]:
        """Up to *limit* callers, revoked or not, newest first (ties by id, downwards)."""

    async def never_sealed(self) -> list[Caller]:
        """Those without a seal that are not revoked."""

    async def admins(self) -> int:
        """How many callers that are not revoked have the role `ADMIN`; they stay locked."""

    async def insert(self, caller: Caller) -> None:
        """Adds a caller.

        Raises `KeyAuthorityError` with `CALLER_NAME_TAKEN` or `CERTIFICATE_NAME_TAKEN` if one that
        is not revoked has its name.
        """

    async def update(self, caller: Caller) -> None:
        """Replaces the caller of that id."""


class Feed(Protocol):
    """The verdict-changing changes, numbered in the order in which they commit, without gaps."""

    async def head(self) -> Head:
        """How far the books are."""

    async def advance(self, subjects: Sequence[str]) -> int:
        """Numbers this transaction's changes to *subjects* (key, workspace or caller ids), one
        revision each in their order, and returns the last.

        Comes late in a transaction: from here on all others that change verdicts wait for it.
        """

    async def since(self, revision: int, limit: int) -> list[tuple[int, str]]:
        """Up to *limit* (revision, subject) after *revision*, oldest first."""

    async def prune(self, keep: int) -> int:
        """Forgets all changes but the *keep* newest, and says how many that were."""


class Leases(Protocol):
    """What leases are granted by, within one transaction."""

    async def terms(self) -> Terms:
        """The terms; in a changing transaction they stay locked until its end."""

    async def put(self, terms: Terms) -> None:
        """Replaces the terms."""

    async def begin(self) -> bool:
        """Says that leases are granted from now on; whether none can be left from before.

        For a process that has the books to itself, and its sessions in memory.
        """

    async def end(self) -> None:
        """Says that no lease is left and none will be granted, for the next `begin` to find."""

    async def begin_epoch(self, time: datetime) -> Head:
        """Begins the next epoch, settling and without any session, as after a restore from backup.

        It is numbered by *time*, in milliseconds since 1970, so that no two are the same. Revisions go on
        counting.
        """


class AuditLog(Protocol):
    """The audit entries, within one transaction."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Writes entries, giving them the next ids."""

    async def page(self, which: AuditFilter, limit: int, before: int | None) -> list[AuditEntry]:
        """Up to *limit* entries, newest first, of ids below *before*."""

    async def prune(self, before: datetime, limit: int) -> int:
        """Deletes up to *limit* entries older than *before* and says how many there were."""


class Peppers(Protocol):
    """The pepper versions, within one transaction."""

    async def all(self) -> list[Pepper]:
        """Every version, oldest first; in a changing transaction none changes until its end."""

    async def to_change(self) -> list[Pepper]:
        """The same, for a transaction that changes them: it waits for those that use them."""

    async def put(self, pepper: Pepper) -> None:
        """Adds the version, or replaces it."""

    async def uses(self) -> dict[int, int]:
        """How many credentials in force need each version: secrets not ended, of keys not revoked,
        and tokens of callers not revoked.
        """

    async def forget(self, version: int) -> None:
        """Deletes the secrets stored with the version, foreign ones too, and the digests of tokens.

        When their keys were last used is still known.
        """


class Replays(Protocol):
    """The sealed answers to retry-safe requests, within one transaction."""

    async def get(self, caller_id: str, request_id: str) -> Replay | None:
        """The answer kept for that request, expired or not."""

    async def put(self, replay: Replay) -> None:
        """Keeps an answer, replacing an expired one of the same request."""

    async def prune(self, now: datetime) -> int:
        """Destroys those that expire at *now* or before, and says how many there were."""


class LastUses(Protocol):
    """When secrets were last used, within one transaction. Of no weight for a verdict."""

    async def note(self, marks: Marks) -> None:
        """Writes down each of *marks*, unless a later use of the secret is known."""

    async def of(self, key_ids: Sequence[str]) -> dict[str, dict[bytes, datetime]]:
        """For those of the keys that were ever used: when, by digest, also of secrets that are gone.

        Where a pepper was forgotten, the empty digest stands for those that were made with it.
        """


@dataclass(frozen=True, slots=True)
class Transaction:
    """The books, opened: all that is read belongs to one state, all that is written to one change.

    This is the list of the repositories: each store fills all of them in, or does not type-check.
    `time` is when the transaction began, by the clock that expiries are judged by, in microseconds.
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
