"""What a process offers to those who serve its calls: callers, leases and verdicts.

From memory where it may, else from the books.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from keyauthority.domain.callers import Caller
from keyauthority.domain.sessions import Claim, Grant, Head
from keyauthority.domain.verdicts import Verdict, Verification, VerifiedKey


class KnownCaller(Protocol):
    """A caller in memory, found by the digest of its credential."""

    digest: bytes

    @property
    def caller(self) -> Caller:
        """Who that is."""


class Credentials(Protocol):
    """Who is calling?"""

    def known(self, token: str) -> KnownCaller | None:
        """The caller that *token* belongs to, if that is in memory and may be told from there."""

    def holds(self, known: KnownCaller) -> bool:
        """Whether *known* may still be told from memory."""

    async def by_token(self, token: str, peer: str) -> Caller:
        """The caller that *token* belongs to; raises `CREDENTIAL_INVALID`, `OVERLOADED`.

        *peer* is the connection it came by: none has others wait behind all of its own.
        """

    async def by_certificate(self, certificate_names: Sequence[str], peer: str) -> Caller:
        """The caller that one of a verified client certificate's names stands for; as `by_token`."""


class Syncing(Protocol):
    """Grants leases to verifiers."""

    async def sync(
        self, caller_id: str, session_id: str, name: str, claim: Claim, wait: timedelta
    ) -> Grant:
        """A lease for the caller's session, a new one if *session_id* is empty.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `SESSION_NOT_FOUND`, `TOO_MANY_SESSIONS`,
        `CREDENTIAL_INVALID`, `SHUTTING_DOWN`.
        """

    async def leave(self, caller_id: str, session_id: str) -> None:
        """Ends the caller's session."""


class KnownVerdict(Protocol):
    """A verdict in memory. `encoded` is for whoever sends it, to keep what it made of it."""

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
        """The state that verdicts in memory are of."""

    def known(self, secret: str, at_least_revision: int, now: float) -> KnownVerdict | None:
        """The verdict on *secret*, if it is in memory, of that revision or later, and may be told
        from there at *now*, by the clock of leases.
        """

    def all_known(
        self, presented: Sequence[str], at_least_revision: int, now: float
    ) -> Sequence[KnownVerdict] | None:
        """The verdicts on all of *presented*, as `known`; None if one is missing."""

    async def verify_all(
        self, presented: Sequence[str], at_least_revision: int, *, fresh: bool
    ) -> list[Verification]:
        """Judges each of *presented* as of one moment; *fresh*: by the database, by no cache.

        Raises `KeyAuthorityError`: `REVISION_NOT_REACHED`, `KEYRING_MISMATCH`,
        `STORE_UNAVAILABLE`, `LEASE_LOST`.
        """
