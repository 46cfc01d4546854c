"""A disk with the spools of all processes: what was synced stays, what was written outlives a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from keyauthority.client.spending.counters import SpoolState
from keyauthority.client.spending.records import SpooledCharge, SpoolError
from keyauthority.escrow.slices import SliceKey

SYNCED_EVERY: Final = 0.1
"""Seconds: what is older is on the disk, also after a power cut."""


@dataclass(eq=False)
class Record:
    """One hold, as the charge that it becomes without an end; then its end."""

    owner: ModelSpool
    held: SpooledCharge
    synced: SpooledCharge | None = None
    """What of the hold a power cut leaves."""
    voided: bool = False
    charge: SpooledCharge | None = None
    end_synced: bool = False
    confirmed: int = -1
    """The epoch in which the charge is confirmed; -1: none."""


@dataclass
class Disk:
    """Takes the place of the folder of all spools."""

    dice: Random
    syncs: float
    """How many syncs take a second."""
    records: dict[str, Record] = field(default_factory=dict)

    def power_cut(self, spool: ModelSpool) -> None:
        """The machine of *spool* stops: what was not synced is gone."""
        for name, record in list(self.of(spool)):
            if record.synced is None:
                del self.records[name]
                continue
            record.held = record.synced
            if not record.end_synced:
                record.voided, record.charge = False, None

    def of(self, spool: ModelSpool) -> Iterator[tuple[str, Record]]:
        """What stands in *spool*."""
        return ((name, one) for name, one in self.records.items() if one.owner is spool)


class ModelSpool:
    """`Spool` on a `Disk`."""

    replaying = False

    def __init__(self, disk: Disk) -> None:
        self.locked = True
        """Whether its process lives."""
        self._disk = disk
        self._epoch = 0
        # Ends, in the order in which they were written, and how many of them are synced.
        self._written: list[Record] = []
        self._synced = 0
        self._on_synced: Callable[[int], None] = lambda _: None

    def hold(self, charge: SpooledCharge) -> None:
        record = self._disk.records[charge.reference] = Record(self, replace(charge))
        self._sync_later(record)

    def extend(self, reference: str, parts: Mapping[SliceKey, int]) -> None:
        record = self._disk.records[reference]
        record.held = replace(record.held, cost=sum(parts.values()), parts=dict(parts))
        self._sync_later(record)

    def notify(self, on_synced: Callable[[int], None]) -> None:
        self._on_synced = on_synced

    def end(self, charged: Iterable[SpooledCharge], voided: Iterable[str]) -> int:
        if not self.locked:
            return 0  # its process is gone, and does nothing
        for charge in charged:
            record = self._disk.records[charge.reference]
            if not record.voided and record.charge is None:
                record.charge = replace(charge)
            self._written.append(record)
        for reference in voided:
            record = self._disk.records[reference]
            record.voided = record.charge is None
            self._written.append(record)
        number = len(self._written)
        delay = self._disk.dice.expovariate(self._disk.syncs)
        asyncio.get_running_loop().call_later(delay, self._sync_ends, number)
        return number

    def hurry(self) -> None:
        """It syncs as it likes."""

    def confirmed(self, references: Iterable[str], epoch: int) -> None:
        for name in references:
            record = self._disk.records.get(name)
            if record is not None and epoch >= self._epoch:
                record.confirmed = max(record.confirmed, epoch)

    def refused(self, references: Iterable[str]) -> None:
        """They stay unconfirmed."""

    def unconfirmed(self, epoch: int) -> list[SpooledCharge]:
        self._epoch = max(self._epoch, epoch)
        return [
            one.charge
            for _, one in self._disk.of(self)
            if one.charge and one.end_synced and one.confirmed < self._epoch
        ]

    async def adopt(self) -> list[SpooledCharge]:
        orphans = [one for one in self._disk.records.values() if not one.owner.locked]
        for one in orphans:
            one.owner, one.synced = self, one.held
            if not one.voided and one.charge is None:
                one.charge = one.held
        if orphans:
            await self._sleep()
        for one in orphans:
            one.end_synced = True
        return [one.charge for one in orphans if one.charge and one.confirmed < 0]

    def state(self) -> SpoolState:
        return SpoolState(0, 0, 0, 0.0)

    async def close(self) -> None:
        self.locked = False

    def _sync_later(self, record: Record) -> None:
        if not self.locked:
            raise SpoolError("another process's")
        loop = asyncio.get_running_loop()
        loop.call_later(SYNCED_EVERY, self._sync, record, record.held)

    def _sync(self, record: Record, held: SpooledCharge) -> None:
        if self.locked:
            record.synced = held

    def _sync_ends(self, number: int) -> None:
        # All that was written up to this one, unless the process is gone.
        if self.locked and number > self._synced:
            for record in self._written[self._synced : number]:
                record.synced, record.end_synced = record.held, True
            self._synced = number
            self._on_synced(number)

    async def _sleep(self) -> None:
        await asyncio.sleep(self._disk.dice.expovariate(self._disk.syncs))
