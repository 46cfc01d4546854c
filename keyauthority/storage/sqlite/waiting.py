"""Waiting for another program that has the file locked: never inside SQLite, never behind the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.storage.sqlite.faults import is_busy

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds that a transaction, or a read, waits for another program."""

PAUSE: Final = 0.01
"""Seconds between two attempts, in which others are let in."""


async def until_free(attempt: Callable[[], Awaitable[T]], patience: float) -> T:
    """What *attempt* gives, tried again for *patience* seconds while another program has the lock."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while True:
        try:
            return await attempt()
        except KeyAuthorityError as error:
            if not is_busy(error) or loop.time() >= end:
                raise
        await asyncio.sleep(PAUSE)
