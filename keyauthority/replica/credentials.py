"""Callers in memory: a credential is looked up once, and again when its caller changes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Final

from keyauthority.base.recent import Recent
from keyauthority.domain import secrets
from keyauthority.domain.authenticating import Authenticating
from keyauthority.domain.callers import Caller
from keyauthority.domain.errors import KeyAuthorityError, Reason, credential_invalid
from keyauthority.domain.peers import PeerPlaces, Turns
from keyauthority.domain.sessions import Head
from keyauthority.replica.cached import CachedCaller, ReplicaCache

KEPT_FOR: Final = 60.0
"""Seconds after which a caller is looked up again."""

STRANGERS_AT_ONCE: Final = 4
"""Credentials that were never accepted here, and are looked up at once."""

STRANGERS: Final = 2_000
STRANGERS_PER_CONNECTION: Final = 1_000
"""Calls with such credentials that wait for their look-up."""

MOST: Final = 10_000
"""Accepted credentials that are remembered, by their digests, and as many refused: about two MiB."""

REFUSED_FOR: Final = 2.0
"""Seconds for which a refused token is refused without a look-up, as an unknown key's secret is."""


class CachedAuthenticating:
    """`Authenticating`, from the cache while the lease lasts.

    A credential that was accepted before is looked up at once; others wait for their turn, so that a
    flood of strangers delays no known caller. A refused token is refused for a while without a
    look-up: nobody can present a token before it is minted.
    """

    def __init__(
        self,
        authenticating: Authenticating,
        cache: ReplicaCache,
        now: Callable[[], float],
        at_once: int = STRANGERS_AT_ONCE,
    ) -> None:
        self._authenticating = authenticating
        self._cache = cache
        self.now = now
        """The clock of leases."""
        self._turns = Turns(at_once)
        self._waiting = PeerPlaces(STRANGERS, STRANGERS_PER_CONNECTION)
        # By digests. To have been accepted lets nobody in: the look-up is only sooner.
        self._accepted: Recent[bytes, None] = Recent(MOST)
        self._refused_until: Recent[bytes, float] = Recent(MOST)
        self._looking: dict[bytes, asyncio.Event] = {}

    def cached(self, token: str) -> CachedCaller | None:
        """Returns the caller of *token*, if the caller is in memory and the lease lasts."""
        cached = self._cache.get(_digest(b"token\0", token), self.now())
        return cached if type(cached) is CachedCaller else None

    def holds(self, cached: CachedCaller, now: float) -> bool:
        """Returns whether *cached* is still in memory, and the lease lasts at *now*."""
        return cached.alive and now < cached.until and now < self._cache.lease_until

    async def by_token(self, token: str, peer: str) -> Caller:
        """Returns the caller of *token*, in a call of *peer*; raises `CREDENTIAL_INVALID`."""
        if secrets.record_id(token, "caller", secrets.TOKEN_PREFIX) is None:
            raise credential_invalid()
        digest = _digest(b"token\0", token)

        async def look_up() -> Caller:
            try:
                return await self._authenticating.by_token(token)
            except KeyAuthorityError as error:
                now = self.now()
                # Without a lease an old primary may have said so, which lacks new callers.
                if error.reason is Reason.CREDENTIAL_INVALID and self._cache.holds_lease(now):
                    self._refused_until.note(digest, now + REFUSED_FOR)
                raise

        return await self._found(digest, look_up, peer)

    async def by_certificate(self, certificate_names: Sequence[str], peer: str) -> Caller:
        """Returns the caller that one of a verified client certificate's names stands for.

        Raises `CREDENTIAL_INVALID`, each time after a look-up: a name may be given to a caller after
        it was presented.
        """
        digest = _digest(b"certificate\0", "\0".join(certificate_names))
        look_up = partial(self._authenticating.by_certificate, certificate_names)
        return await self._found(digest, look_up, peer)

    async def _found(
        self, digest: bytes, look_up: Callable[[], Awaitable[Caller]], peer: str
    ) -> Caller:
        while True:
            cached = self._remembered(digest)
            if cached is not None:
                return cached.caller
            if digest in self._accepted:
                return await self._look_up(digest, look_up)
            if self._refused_until.get(digest, -math.inf) > self.now():
                raise credential_invalid()
            with self._waiting.place(peer):
                running = self._looking.get(digest)
                if running is None:
                    return await self._look_up_in_turn(digest, look_up, peer)
                # Its result may be older than this call: only the cache or the next look-up counts.
                await running.wait()

    async def _look_up_in_turn(
        self, digest: bytes, look_up: Callable[[], Awaitable[Caller]], peer: str
    ) -> Caller:
        done = self._looking[digest] = asyncio.Event()
        try:
            async with self._turns.turn(peer):
                return await self._look_up(digest, look_up)
        finally:
            del self._looking[digest]
            done.set()

    async def _look_up(self, digest: bytes, look_up: Callable[[], Awaitable[Caller]]) -> Caller:
        ask = self._cache.ask(self.now())
        try:
            caller = await look_up()
        except KeyAuthorityError as error:
            if error.reason is Reason.CREDENTIAL_INVALID:
                self._accepted.forget(digest)
            raise
        self._accepted.note(digest, None)
        # The caller was read after `ask.applied` was: if that is still the newest state known here,
        # every later change will drop the caller from the cache.
        if ask.epoch and self._cache.stands(ask, Head(ask.epoch, ask.applied)):
            self._cache.keep(ask, digest, CachedCaller(caller, ask.sent + KEPT_FOR))
        return caller

    def _remembered(self, digest: bytes) -> CachedCaller | None:
        cached = self._cache.get(digest, self.now())
        return cached if type(cached) is CachedCaller else None


def _digest(kind: bytes, text: str) -> bytes:
    return sha256(kind + text.encode("utf-8", "surrogatepass")).digest()
