"""Spools for tests: in real folders, with requests that differ by their reference."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from keyauthority.client.spending.records import SpooledCharge
from keyauthority.client.spending.recovery import Contents, recover
from keyauthority.client.spending.spool import Spool
from keyauthority.escrow.slices import SliceKey

PARTS: Mapping[SliceKey, int] = {("sess_1", 1): 700, ("sess_2", 4): 300}

CHARGE = SpooledCharge(
    reference="ref",
    workspace_id="ws_1",
    cost=1234,
    parts=PARTS,
    key_id="key_1",
    model="gpt-4o \u2713",
    path="/v1/chat/completions",
    request_id="req_1",
    counts={"input": 10, "output": 20},
    price_id="price_1",
    estimated=False,
    status=200,
)


def charge(reference: str, cost: int = CHARGE.cost) -> SpooledCharge:
    """The charge of a request."""
    return replace(CHARGE, reference=reference, cost=cost)


def as_held(reference: str, parts: Mapping[SliceKey, int] = PARTS) -> SpooledCharge:
    """What a hold becomes whose end is not known."""
    return replace(
        CHARGE,
        reference=reference,
        cost=sum(parts.values()),
        parts=parts,
        counts={},
        estimated=True,
        status=0,
    )


def hold(spool: Spool, reference: str, parts: Mapping[SliceKey, int] = PARTS) -> None:
    """Holds for the request of `charge`."""
    spool.hold(as_held(reference, parts))


async def charged(spool: Spool, charge: SpooledCharge) -> None:
    """Ends a hold by a charge; returns once that is synced."""
    spool.end([charge], [])
    await spool.durable()


async def voided(spool: Spool, reference: str) -> None:
    """Ends a hold without one; returns once that is synced."""
    spool.end([], [reference])
    await spool.durable()


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    fsync: Callable[[int], None] = os.fsync,
    now: Callable[[], float] = lambda: 1_790_000_000.0,
    segment_bytes: int = 8 << 20,
    archive_bytes: int | None = None,
) -> AsyncIterator[Spool]:
    """A spool that is closed at the end."""
    spool = Spool(
        folder, fsync=fsync, now=now, segment_bytes=segment_bytes, archive_bytes=archive_bytes
    )
    try:
        yield spool
    finally:
        await spool.close()


def left(folder: Path) -> Contents:
    """What the only spool in *folder* holds, as whoever adopts it will find it."""
    (path,) = folder.glob("*.spool")
    return recover(path)


def references(charges: list[SpooledCharge]) -> list[str]:
    """Their references, in order."""
    return sorted(one.reference for one in charges)
