"""The price table, as coherent as a verdict: dropped when prices change, until it is read again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from keyauthority.base.process.clocks import SystemClock
from keyauthority.client.spending.calling import CallFailed, Calling
from keyauthority.client.spending.request import SpendingUnavailable
from keyauthority.client.verifier import Verifier
from keyauthority.pricing.prices import Price, PriceTable
from keyauthority.v1.price_rows import price_of

SUBJECT: Final = "prices"
"""The subject of the changes of the table."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds: the pause after a reading that failed, doubled each time up to the longest."""

log = logging.getLogger("keyauthority.client")


class Prices:
    """The table that requests go by. It is good under the lease of *verifier*.

    Args:
        verifier: Tells of changes, by `drop`.
        calling: Reads the table.
        timeout: Seconds in which a price has to be found.
        now: The wall clock.
    """

    def __init__(
        self,
        verifier: Verifier,
        calling: Calling,
        timeout: float,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._verifier = verifier
        self._calling = calling
        self._timeout = timeout
        self._now = now or SystemClock().now
        self._table: PriceTable | None = None
        # The state that a table has to be of, at least.
        self._least = verifier.epoch, verifier.revision
        self._read = asyncio.Event()
        self._wanted = asyncio.Event()
        self._reading: asyncio.Task[PriceTable] | None = None

    def drop(self) -> None:
        """Goes by the table no more: another may be in force. It is read again at once."""
        self._table = None
        self._least = self._verifier.epoch, self._verifier.revision
        self._read.clear()
        self._wanted.set()

    def find(self, model: str, path: str) -> Price | None:
        """Returns the price of a request; None if there is none. Raises `SpendingUnavailable`."""
        table = self._table
        if table is None or not self._verifier.lease_held:
            raise SpendingUnavailable("no price table to go by")
        return table.find(model, path, self._now())

    async def wait(self, model: str, path: str) -> Price | None:
        """Returns the price as `find` does, once there is a table to go by."""
        return (await self.table()).find(model, path, self._now())

    async def table(self) -> PriceTable:
        """Returns the table to go by, once there is one. Raises `SpendingUnavailable`.

        It is for the requests that have arrived: without a lease it is read for these.
        """
        try:
            async with asyncio.timeout(self._timeout):
                while self._verifier.lease_held:
                    if self._table is not None:
                        return self._table
                    await self._read.wait()
                return await self._read_anew()
        except (CallFailed, TimeoutError):
            raise SpendingUnavailable("no price table in time") from None

    async def run(self) -> None:
        """Reads the table whenever it was dropped, until cancelled."""
        pause = FIRST_PAUSE
        while True:
            self._wanted.clear()
            if await self._renew():
                pause = FIRST_PAUSE
                await self._wanted.wait()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _renew(self) -> bool:
        if not self._verifier.epoch:
            return False
        try:
            table, state = await self._fetch()
        except CallFailed as failure:
            log.warning("prices_not_read: %s", failure)
            return False
        except Exception:  # the next reading may succeed, whatever it was
            log.exception("prices_not_read")
            return False
        if state < self._least:
            return False
        self._table = table
        self._read.set()
        return True

    async def _fetch(self) -> tuple[PriceTable, tuple[int, int]]:
        reply = await self._calling.prices()
        return PriceTable(map(price_of, reply.prices)), (reply.epoch, reply.revision)

    async def _read_anew(self) -> PriceTable:
        # A reading that began before the request arrived may miss what changed since.
        before = self._reading
        if before is not None:
            await asyncio.wait([before])
        if self._reading is before:
            self._reading = asyncio.create_task(self._read_once())
        assert self._reading is not None  # noqa: S101 - begun after this request arrived
        return await asyncio.shield(self._reading)

    async def _read_once(self) -> PriceTable:
        table, _ = await self._fetch()
        return table
