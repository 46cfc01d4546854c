"""What a process offers to its services: callers, leases and verdicts, cached or from the books."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from keyauthority.domain.callers import Caller
from keyauthority.domain.sessions import Claim, Grant, Head
from keyauthority.domain.verdicts import Verdict, Verification, VerifiedKey


class KnownCaller(Protocol):
    """A cached caller, with the digest of its credential."""

    digest: bytes

    @property
    def caller(self) -> Caller:
        """The caller."""


class Credentials(Protocol):
    """Finds the callers of credentials."""

    def known(self, token: str) -> KnownCaller | None:
        """Returns the cached caller of *token*; None if there is none or the lease is over."""

    def holds(self, known: KnownCaller) -> bool:
        """Returns whether *known* is still cached, under a lease."""

    async def by_token(self, token: str, peer: str) -> Caller:
        """Returns the caller of *token*; raises `CREDENTIAL_INVALID`, `OVERLOADED`.

        *peer* is the connection of the call, for a fair share of the look-ups: see `peers`.
        """

    async def by_certificate(self, certificate_names: Sequence[str], peer: str) -> Caller:
        """Returns the caller with one of a client certificate's verified names; as `by_token`."""


class Syncing(Protocol):
    """Grants leases to verifiers."""

    async def sync(
        self, caller_id: str, session_id: str, name: str, claim: Claim, wait: timedelta
    ) -> Grant:
        """Grants a lease for the caller's session, a new session if *session_id* is empty.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `SESSION_NOT_FOUND`, `TOO_MANY_SESSIONS`,
        `CREDENTIAL_INVALID`, `SHUTTING_DOWN`.
        """

    async def leave(self, caller_id: str, session_id: str) -> None:
        """Ends the caller's session."""


class KnownVerdict(Protocol):
    """A cached verdict. In `encoded` the sender may cache its encoding."""

    verdict: Verdict
    number: int
    key: VerifiedKey | None
    key_revoked: bool
    until: float
    encoded: bytes | None


class Verdicts(Protocol):
    """Answers verifiers."""

    @property
    def applied(self) -> Head:
        """The state of the books that cached verdicts belong to."""

    def known(self, secret: str, at_least_revision: int, now: float) -> KnownVerdict | None:
        """Returns the cached verdict on *secret* of that revision or later.

        None if there is none, or the lease is over at *now*, by the clock of leases.
        """

    def all_known(
        self, presented: Sequence[str], at_least_revision: int, now: float
    ) -> Sequence[KnownVerdict] | None:
        """Returns the cached verdicts on all of *presented*; None if one is missing."""

    async def verify_all(
        self, presented: Sequence[str], at_least_revision: int, *, fresh: bool
    ) -> list[Verification]:
        """Judges *presented* by one state of the books; *fresh*: by the database, by no cache.

        Raises `KeyAuthorityError`: `REVISION_NOT_REACHED`, `KEYRING_MISMATCH`,
        `STORE_UNAVAILABLE`, `LEASE_LOST`.
        """
