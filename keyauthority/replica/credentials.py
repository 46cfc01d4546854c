"""Callers from memory: a credential is looked up once, and again when its caller changes."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from hashlib import sha256
from typing import Final

from keyauthority import boottime
from keyauthority.domain.authenticating import Authenticating
from keyauthority.domain.callers import Caller
from keyauthority.domain.revisions import Head
from keyauthority.replica.known import KnownCache, KnownCaller

KEPT_FOR: Final = 60.0
"""Seconds after which a caller is looked up again."""


class CachedAuthenticating:
    """`Authenticating`, from the cache while the lease lasts.

    Only what is accepted is kept: a credential that is not may become one, and creating a caller is
    no change that anybody waits for.
    """

    def __init__(self, authenticating: Authenticating, cache: KnownCache) -> None:
        self._authenticating = authenticating
        self._cache = cache

    def known(self, token: str) -> Caller | None:
        """The caller that *token* belongs to, if that is in memory and may be told from there."""
        known = self._cache.get(_digest(b"token", token), boottime.now())
        return known.caller if type(known) is KnownCaller else None

    async def by_token(self, token: str) -> Caller:
        """The caller that *token* belongs to; raises `CREDENTIAL_INVALID`."""
        known = self.known(token)
        if known is not None:
            return known
        return await self._looked_up(_digest(b"token", token), self._authenticating.by_token(token))

    async def by_certificate(self, certificate_names: Sequence[str]) -> Caller:
        """The caller that one of a verified client certificate's names stands for.

        Raises `CREDENTIAL_INVALID`.
        """
        digest = _digest(b"certificate", "\0".join(certificate_names))
        known = self._cache.get(digest, boottime.now())
        if type(known) is KnownCaller:
            return known.caller
        return await self._looked_up(digest, self._authenticating.by_certificate(certificate_names))

    async def _looked_up(self, digest: bytes, looking: Awaitable[Caller]) -> Caller:
        ask = self._cache.ask(boottime.now())
        caller = await looking
        # What was read is at least as new as what was applied before: if that is still the newest
        # that is known of, every later change will drop it.
        if ask.epoch and self._cache.stands(ask, Head(ask.epoch, ask.applied)):
            self._cache.keep(ask, digest, KnownCaller(caller, ask.sent + KEPT_FOR))
        return caller


def _digest(kind: bytes, text: str) -> bytes:
    return sha256(kind + b"\0" + text.encode("utf-8", "surrogatepass")).digest()
