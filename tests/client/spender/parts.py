"""Spenders for tests, and the requests they let through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from keyauthority.client import Request, Spender, Spending, VerifiedKey
from tests.client.parts import leased

KEY = VerifiedKey("key_1", "ws_1", "one", (), {})
USE = Request("gpt-5", "/v1/chat/completions", "req_1", "price_1")


class Door:
    """Holds calls back before they are applied, or answers after they were."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.reached = asyncio.Event()

    async def __call__(self, _: object) -> None:
        self.reached.set()
        await self.open.wait()


@asynccontextmanager
async def spending(address: str, folder: Path, **options: Any) -> AsyncIterator[Spender]:
    """A spender whose verifier holds a lease."""
    async with (
        leased(address) as verifier,
        Spender(verifier, folder, **{"timeout": 5.0, **options}) as spender,
    ):
        yield spender


async def hold(spender: Spender, amount: int, *, least: int | None = None) -> Spending:
    """Holds all of *amount*, or at least *least*."""
    return await spender.hold(KEY, amount, USE, least=amount if least is None else least)


async def outcomes(holds: Iterable[Awaitable[Spending]]) -> list[Spending | BaseException]:
    """What becomes of *holds*, asked for at the same time."""
    return await asyncio.gather(*holds, return_exceptions=True)
