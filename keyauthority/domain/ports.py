"""What the domain needs from outside: a store, a keyring, a clock and a fence.

`tests/conformance` holds every promise made here against every implementation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from keyauthority.domain.callers import Caller
from keyauthority.domain.keys import Key
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import (
    Allowance,
    Claim,
    Grant,
    Head,
    Receipt,
    Session,
    Standing,
)

Result = TypeVar("Result")


class Clock(Protocol):
    """A clock."""

    def now(self) -> datetime:
        """Returns the time in UTC."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the books, read by one statement.

    `time` decides about expiry. `keys` has those of the requested keys that exist, without creators
    and revokers; `suspended` the ids of their suspended workspaces; `imports` the key's id of each
    requested foreign digest that exists. `foreign_secrets` is set by the first import.
    `newest_pepper` is the newest version that stored digests may use.
    """

    head: Head
    time: datetime
    keys: Mapping[str, Key]
    suspended: frozenset[str]
    imports: Mapping[bytes, str]
    foreign_secrets: bool
    newest_pepper: int


class Sessions(Protocol):
    """The verifiers that may hold a lease.

    Every method but `callers_of`, `standing` and `all` is one change, committed when it returns. A claim
    is stored as revision 0 and answered with a reset if its epoch is another, if it is above the
    head, older than the stored changes, or too many changes behind.

    The session is stored before, or in the transaction in which, the head of its grant is read: a
    change with a later revision sees the session. A renewal uses the allowance that the session had
    when the head was read, or before.
    """

    async def join(self, caller_id: str, name: str, claim: Claim) -> Grant:
        """Opens a session with a fresh random id that has acknowledged *claim*.

        Raises `KeyAuthorityError`: `CREDENTIAL_INVALID` if the caller is revoked, or
        `TOO_MANY_SESSIONS`.
        """

    async def renew(self, session_id: str, caller_id: str, claim: Claim) -> Grant:
        """Gives the session its next beat and stores what it acknowledges.

        Raises `KeyAuthorityError`: `CREDENTIAL_INVALID`, or `SESSION_NOT_FOUND` if the caller has no
        such session.
        """

    async def allow(
        self, session_id: str, before: Allowance, after: Allowance, *, late: bool = False
    ) -> bool:
        """Replaces the session's allowance *before* by *after* with a new number.

        Returns False if the session is gone or has another allowance. *late* adds to `Session.late`.
        """

    async def leave(self, session_id: str, caller_id: str) -> None:
        """Ends the session if it is the caller's."""

    async def remove(self, session_id: str, beat: int) -> bool:
        """Ends the session if its beat is still *beat*; returns whether it did."""

    async def callers_of(self, session_ids: Collection[str]) -> dict[str, str]:
        """Returns the caller's id of those of *session_ids* that are not over."""

    async def standing(self) -> Standing:
        """Returns what each session has acknowledged, and the terms."""

    async def all(self) -> list[Session]:
        """Returns every session, oldest first."""


class Store(Protocol):
    """The books of the authority.

    Every method, and every call within a transaction, raises `KeyAuthorityError` with
    `STORE_UNAVAILABLE` when the database can't be read or written; a failed change is rolled back.

    Where the database is used by a thread of its own, *work* runs there, without an event loop. So
    it awaits nothing but the transaction, and uses nothing that two threads may not.
    `changes_at_once` is how many changes the store makes at a time; others would wait in it.
    """

    changes_at_once: int

    @property
    def sessions(self) -> Sessions:
        """The verifiers that may hold a lease."""

    async def snapshot(
        self,
        key_ids: Sequence[str],
        digests: Sequence[bytes] = (),
        secrets: Sequence[bytes] | None = None,
    ) -> Snapshot:
        """Reads in one statement what verdicts need about these keys, and the keys of *digests*.

        *digests* are of foreign secrets. With *secrets* (digests of either kind), only keys with one
        of these secrets are read, with only these secrets: a key without one takes as long as a key
        that doesn't exist.
        """

    async def caller(self, caller_id: str) -> Caller | None:
        """Reads one caller, revoked or not, in one statement."""

    async def read(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        """Returns what *work* reads, all of it from one state."""

    async def change(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        """Runs *work*, commits what it did, and returns its result; an exception rolls back.

        Once it has begun, it goes on to its end even if its caller is cancelled. Changes of the same
        records wait for one another.
        """


class Keyring(Protocol):
    """The peppers, and what is derived from them."""

    def versions(self) -> Sequence[int]:
        """Returns the versions in the keyring, oldest first; at least one."""

    def digest(self, version: int, record_id: str, secret: str) -> bytes:
        """Returns the pepper's HMAC-SHA-256 of *record_id*, a zero byte and *secret*.

        Raises `KeyAuthorityError` with `KEYRING_MISMATCH` if the keyring lacks the version.
        """

    def digest_foreign(self, version: int, secret: str) -> bytes:
        """Returns the pepper's HMAC-SHA-256 of the byte 1 and SHA-256(*secret*); raises likewise."""

    def fingerprint(self, version: int) -> bytes:
        """Returns a value by which keyrings compare a pepper without revealing it."""

    def add(self, version: int) -> None:
        """Generates a pepper and stores it durably; raises `KEYRING_UNWRITABLE`."""

    def seal(self, version: int, plaintext: bytes, context: bytes) -> bytes:
        """Encrypts *plaintext*; only `unseal` with the same *context* decrypts it."""

    def unseal(self, sealed: bytes, context: bytes) -> bytes | None:
        """Returns the plaintext; None for damage, another keyring or another *context*."""

    def attest(self, version: int, statement: bytes) -> bytes:
        """Returns a seal of *statement* that needs the pepper to make; raises as `digest`."""

    def attested(self, statement: bytes, seal: bytes | None) -> bool:
        """Returns whether *seal* is one of *statement* by a pepper in the keyring."""


class Fence(Protocol):
    """Waits until no verifier answers by a state older than a revision."""

    def announce(self, revision: int) -> None:
        """Has the verifiers connected here hear of *revision*, whose commit returned, at once."""

    async def wait(self, revision: int) -> Receipt:
        """Returns when every verifier has applied *revision* or its lease is over."""
