"""Callers from memory: a credential is looked up once, and again when its caller changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Final

from keyauthority.base.recent import Recent
from keyauthority.domain import answering, secrets
from keyauthority.domain.authenticating import Authenticating
from keyauthority.domain.callers import Caller
from keyauthority.domain.errors import KeyAuthorityError, Reason, credential_invalid
from keyauthority.domain.peers import PeerPlaces, Turns
from keyauthority.domain.sessions import Head
from keyauthority.replica.known import KnownCache, KnownCaller

KEPT_FOR: Final = 60.0
"""Seconds after which a caller is looked up again."""

STRANGERS_AT_ONCE: Final = 4
"""Credentials never accepted here that are looked up at once."""

STRANGERS: Final = 2_000
STRANGERS_PER_CONNECTION: Final = 1_000
"""Calls with such credentials that wait to be looked up."""

MOST: Final = 10_000
"""Credentials of either kind that are remembered, by their digests: about two MiB."""

REFUSED_FOR: Final = 2.0
"""Seconds for which a refused token is refused without a look-up, as an unknown key's secret is."""


class CachedAuthenticating:
    """`Authenticating`, from the cache while the lease lasts.

    A credential that was accepted before is looked up at once; one that never was waits for its
    turn, so that a flood of them delays nobody who is known. A token that was refused is refused
    for a while without a look-up: nobody can have presented a token before it was minted.
    """

    def __init__(
        self,
        authenticating: Authenticating,
        cache: KnownCache,
        now: Callable[[], float],
        at_once: int = STRANGERS_AT_ONCE,
    ) -> None:
        self._authenticating = authenticating
        self._cache = cache
        self._now = now
        self._turns = Turns(at_once)
        self._waiting = PeerPlaces(STRANGERS, STRANGERS_PER_CONNECTION)
        self._seen = Acquaintances()
        self._looking: dict[bytes, asyncio.Event] = {}

    def known(self, token: str) -> KnownCaller | None:
        """The caller that *token* belongs to, if that is in memory and may be told from there."""
        return self._remembered(_digest(b"token", token))

    def holds(self, known: answering.KnownCaller) -> bool:
        """Whether *known* may still be told from memory."""
        return self._cache.get(known.digest, self._now()) is known

    async def by_token(self, token: str, peer: str) -> Caller:
        """The caller that *token* of a call of *peer* belongs to; raises `CREDENTIAL_INVALID`."""
        if secrets.record_id(token, "caller", secrets.TOKEN_PREFIX) is None:
            raise credential_invalid()
        digest = _digest(b"token", token)

        async def look_up() -> Caller:
            try:
                return await self._authenticating.by_token(token)
            except KeyAuthorityError as error:
                now = self._now()
                # Without a lease an old primary may have said so, which lacks new callers.
                if error.reason is Reason.CREDENTIAL_INVALID and self._cache.holds_lease(now):
                    self._seen.refused(digest, now)
                raise

        return await self._found(digest, look_up, peer)

    async def by_certificate(self, certificate_names: Sequence[str], peer: str) -> Caller:
        """The caller that one of a verified client certificate's names stands for.

        Raises `CREDENTIAL_INVALID`, each time after a look-up: a name may be given to a caller after
        it was presented.
        """
        digest = _digest(b"certificate", "\0".join(certificate_names))

        async def look_up() -> Caller:
            return await self._authenticating.by_certificate(certificate_names)

        return await self._found(digest, look_up, peer)

    async def _found(
        self, digest: bytes, look_up: Callable[[], Awaitable[Caller]], peer: str
    ) -> Caller:
        while not self._seen.accepts(digest):
            known = self._remembered(digest)
            if known is not None:
                return known.caller
            if self._seen.refuses(digest, self._now()):
                raise credential_invalid()
            with self._waiting.place(peer):
                same = self._looking.get(digest)
                if same is None:
                    return await self._introduced(digest, look_up, peer)
                # What it finds may be older than this call: only what the cache or the next
                # look-up says after it counts.
                await same.wait()
        known = self._remembered(digest)
        return known.caller if known else await self._looked_up(digest, look_up)

    async def _introduced(
        self, digest: bytes, look_up: Callable[[], Awaitable[Caller]], peer: str
    ) -> Caller:
        done = self._looking[digest] = asyncio.Event()
        try:
            async with self._turns.turn(peer):
                return await self._looked_up(digest, look_up)
        finally:
            del self._looking[digest]
            done.set()

    async def _looked_up(self, digest: bytes, look_up: Callable[[], Awaitable[Caller]]) -> Caller:
        ask = self._cache.ask(self._now())
        try:
            caller = await look_up()
        except KeyAuthorityError as error:
            if error.reason is Reason.CREDENTIAL_INVALID:
                self._seen.forget(digest)
            raise
        self._seen.accepted(digest)
        # What was read is at least as new as what was applied before: if that is still the newest
        # that is known of, every later change will drop it.
        if ask.epoch and self._cache.stands(ask, Head(ask.epoch, ask.applied)):
            self._cache.keep(ask, digest, KnownCaller(caller, ask.sent + KEPT_FOR))
        return caller

    def _remembered(self, digest: bytes) -> KnownCaller | None:
        known = self._cache.get(digest, self._now())
        return known if type(known) is KnownCaller else None


def _digest(kind: bytes, text: str) -> bytes:
    return sha256(kind + b"\0" + text.encode("utf-8", "surrogatepass")).digest()


class Acquaintances:
    """Remembers credentials by digests.

    That one was accepted before lets nobody in: it is looked up as before, only sooner.
    """

    def __init__(self, most: int = MOST) -> None:
        self._accepted: Recent[bytes, None] = Recent(most)
        self._refused_until: Recent[bytes, float] = Recent(most)

    def accepts(self, digest: bytes) -> bool:
        """Whether the credential was accepted when it was last looked up."""
        return digest in self._accepted

    def refuses(self, digest: bytes, now: float) -> bool:
        """Whether the token was refused within the last seconds."""
        return self._refused_until.get(digest, now) > now

    def accepted(self, digest: bytes) -> None:
        """The credential was looked up, and is a caller's."""
        self._accepted.note(digest, None)

    def refused(self, digest: bytes, now: float) -> None:
        """The token was looked up, and is nobody's: one that is will never be."""
        self._refused_until.note(digest, now + REFUSED_FOR)

    def forget(self, digest: bytes) -> None:
        """The credential is no longer accepted."""
        self._accepted.forget(digest)
