"""Whether the gateway can do its work at the moment."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from keyauthority.client import VerificationUnavailable, Verifier

# Probes come from several sides; a question a second is enough for all of them.
_GOOD_FOR: Final = 1.0


class Readiness:
    """Asks the authority on behalf of `/readyz`, at most once a second."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._lock = asyncio.Lock()
        self._asked = -_GOOD_FOR
        self._ready = False

    async def ready(self) -> bool:
        """Tell whether the authority gives verdicts."""
        async with self._lock:
            if time.monotonic() - self._asked >= _GOOD_FOR:
                self._ready = await self._probe()
                self._asked = time.monotonic()
            return self._ready

    async def _probe(self) -> bool:
        try:
            await self._verifier.probe()
        except VerificationUnavailable:
            return False
        return True
