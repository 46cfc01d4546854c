"""Waiting until something is so, of what others do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class News:
    """Says that something happened, to the one who waits for it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Something happened."""
        self._event.set()

    async def until(self, look: Callable[[], Found | None], within: float) -> Found | None:
        """Returns what *look* returns, as soon as it is not None; None after *within* seconds."""
        try:
            async with asyncio.timeout(within):
                while (found := look()) is None:
                    self._event.clear()
                    await self._event.wait()
                return found
        except TimeoutError:
            return None
