"""The provider's public keys."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from aiohttp import ClientSession
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, Key, KeySet

from console.oidc.discovery import KEPT
from console.oidc.errors import OidcUnavailable
from console.oidc.fetch import Document, fetch_document

REFETCH: Final = timedelta(seconds=30)
"""How old keys have to be before an id token that none of them fits has them asked for again."""

_WHAT: Final = "keys"


class Keys:
    """The keys, asked for when they are first needed, when they are old and when none fits."""

    def __init__(self, session: ClientSession, clock: Callable[[], datetime]) -> None:
        self._session = session
        self._clock = clock
        self._kept: tuple[datetime, KeySet] | None = None

    async def current(self, url: str) -> KeySet:
        """Keys at most `KEPT` old. Raises OidcUnavailable."""
        if self._kept is not None and self._clock() - self._kept[0] < KEPT:
            return self._kept[1]
        return await self._fetch(url)

    async def newer_than(self, seen: KeySet, url: str) -> KeySet | None:
        """Keys newer than *seen*, or None if *seen* are too new to ask again.

        Raises OidcUnavailable.
        """
        if self._kept is not None and self._kept[1] is not seen:
            return self._kept[1]
        if self._kept is not None and self._clock() - self._kept[0] < REFETCH:
            return None
        return await self._fetch(url)

    async def _fetch(self, url: str) -> KeySet:
        now = self._clock()
        keys = KeySet(list(_usable(await fetch_document(self._session, url, _WHAT))))
        if not keys:
            raise OidcUnavailable(f"{_WHAT}: none that can be used")
        self._kept = now, keys
        return keys


def _usable(document: Document) -> Iterator[Key]:
    # A key that is malformed, too short or of a kind not known here is passed over, as RFC 7517
    # asks for: providers publish new kinds beside the old ones.
    published = document.get("keys")
    for key in published if isinstance(published, list) else ():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", SecurityWarning)
                yield JWKRegistry.import_key(key)
        except (JoseError, SecurityWarning, ValueError, TypeError, KeyError):
            continue
