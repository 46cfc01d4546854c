"""What the domain needs of the world: books to keep, a keyring, a clock, a fence.

Each promise made here is held against every implementation by `tests/conformance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

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


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The time in UTC."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one statement read, so that all of it was true together.

    `keys` holds those that exist of the keys asked for, `suspended` the ids of their workspaces
    that are suspended. `time` is the time that expiries are judged by. `imports` tells the key of
    each foreign digest that was asked for and found, `foreign_secrets` whether any were ever
    imported, `newest_pepper` the newest version that digests may have been made with. No verdict
    asks who did something to a key: of these nobody is known.
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

    Every method but `standing` and `all` is a change of its own, done when it returns. A claim of
    another epoch, or above the head, is written down as revision 0 and answered with a reset, and so
    is one that is older than the changes still known or too many of them behind.

    A session is written down before, or in the same transaction as, the head that its grant tells
    is read: whoever commits a later revision finds the session in the books. A renewal is granted by
    the allowance that the session had before, or when, that head was read.
    """

    async def join(self, caller_id: str, name: str, claim: Claim) -> Grant:
        """Opens a session under a fresh random id, with what *claim* says and no more.

        Raises `KeyAuthorityError`: `CREDENTIAL_INVALID` if the caller is revoked by now,
        `TOO_MANY_SESSIONS`.
        """

    async def renew(self, session_id: str, caller_id: str, claim: Claim) -> Grant:
        """Gives the session its next beat and writes down what it acknowledges.

        Raises `KeyAuthorityError`: `CREDENTIAL_INVALID`, `SESSION_NOT_FOUND` if the caller has no
        such session.
        """

    async def allow(
        self, session_id: str, before: Allowance, after: Allowance, *, late: bool = False
    ) -> bool:
        """Gives the session the allowance *after*, under a number of its own; whether it did.

        It does not if the session is gone or has another than *before* by now. *late* counts.
        """

    async def leave(self, session_id: str, caller_id: str) -> None:
        """Ends the session, if the caller has it."""

    async def remove(self, session_id: str, beat: int) -> None:
        """Ends the session unless its beat is another by now."""

    async def standing(self) -> Standing:
        """What each session has acknowledged, and the terms."""

    async def all(self) -> list[Session]:
        """Every session, oldest first."""


class Store(Protocol):
    """The books of the authority.

    Every method, and everything done within a transaction, raises `KeyAuthorityError` with
    `STORE_UNAVAILABLE` when the books can't be read or written; whatever failed left no trace.
    """

    @property
    def sessions(self) -> Sessions:
        """The verifiers that may hold a lease."""

    async def snapshot(
        self,
        key_ids: Sequence[str],
        digests: Sequence[bytes] = (),
        secrets: Sequence[bytes] | None = None,
    ) -> Snapshot:
        """Reads what verdicts need about these keys, and those of these foreign secrets' digests.

        With *secrets*, digests of either kind, only of keys that have one of them, and of their
        secrets only these: then a key without costs what no key costs, however many it has had.
        In one statement.
        """

    async def caller(self, caller_id: str) -> Caller | None:
        """Reads one caller, revoked or not, in one statement."""

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """Opens the books to read."""

    def changing(self) -> AbstractAsyncContextManager[Transaction]:
        """Opens the books to change: all of it is durable when the block ends, nothing if it raises.

        Transactions that change the same records wait for one another.
        """


class Keyring(Protocol):
    """The peppers themselves, and what is derived from them."""

    def versions(self) -> Sequence[int]:
        """The versions at hand, oldest first. Never empty."""

    def digest(self, version: int, record_id: str, secret: str) -> bytes:
        """HMAC-SHA-256 under the pepper of *record_id*, a zero byte and *secret*.

        Raises `KeyAuthorityError` with `KEYRING_MISMATCH` if the version is not at hand.
        """

    def digest_foreign(self, version: int, secret: str) -> bytes:
        """HMAC-SHA-256 under the pepper of a one byte and the SHA-256 of *secret*; raises likewise."""

    def fingerprint(self, version: int) -> bytes:
        """Tells whether two keyrings hold the same pepper; reveals nothing of it."""

    def add(self, version: int) -> None:
        """Makes a new pepper and keeps it durably.

        Raises `KeyAuthorityError` with `KEYRING_UNWRITABLE`.
        """

    def seal(self, version: int, plaintext: bytes, context: bytes) -> bytes:
        """Encrypts *plaintext* so that only `unseal` with the same *context* opens it."""

    def unseal(self, sealed: bytes, context: bytes) -> bytes | None:
        """The plaintext, or None if it was not sealed here, in this context, or is damaged."""

    def attest(self, version: int, statement: bytes) -> bytes:
        """A seal that only holders of the pepper can make of *statement*; raises as `digest`."""

    def attested(self, statement: bytes, seal: bytes | None) -> bool:
        """Whether *seal* was made of *statement* with a pepper at hand."""


class Fence(Protocol):
    """Waits until no verifier answers by a state older than a revision."""

    async def wait(self, revision: int) -> Receipt:
        """Returns when every verifier has applied *revision* or its lease is over."""
