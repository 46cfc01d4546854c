"""After a restore of the books: what was confirmed before is brought again, a segment at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keyauthority.client.spending.records import SpooledCharge, SpoolError
from keyauthority.client.spending.recovery import charges_in
from keyauthority.client.spending.segments import all_segments

log = logging.getLogger("keyauthority.client")


class Replaying:
    """Which epoch all that ended is confirmed in, and what has to be confirmed again in a newer one.

    Args:
        folder: Of the spool.
        is_unconfirmed: Whether a charge is unconfirmed besides: it need not come again.
        note: Writes down that all is confirmed in an epoch.
        on_read: Called when the charges of a segment are there to be brought.
    """

    def __init__(
        self,
        folder: Path,
        is_unconfirmed: Callable[[str], bool],
        note: Callable[[int], None],
        on_read: Callable[[], None],
    ) -> None:
        self.whole: int | None = None
        """All that ended and is not unconfirmed is confirmed in this epoch; None: nothing is."""
        self.charges: dict[str, SpooledCharge] = {}
        """Those that were confirmed in an older epoch, of the segment at hand."""
        self._latest = 0
        self._folder = folder
        self._is_unconfirmed = is_unconfirmed
        self._note = note
        self._on_read = on_read
        self._anew = False
        self._adoptions = 0
        self._drained = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        """Whether something is still to be confirmed again."""
        return self._task is not None

    def is_over(self, epoch: int) -> bool:
        """Whether a newer epoch than *epoch* has begun."""
        return epoch < self._latest

    def heard(self, epoch: int) -> None:
        """The authority's books are in *epoch*."""
        if epoch > self._latest:
            self._latest = epoch
            self._begin()

    @contextmanager
    def adopting(self, whole: int | None) -> Iterator[None]:
        """Segments come meanwhile in which all that ended is confirmed in *whole*."""
        if whole is not None:
            self.whole = whole if self.whole is None else min(whole, self.whole)
        self._adoptions += 1
        try:
            yield
        finally:
            self._adoptions -= 1
            if self.whole is not None:
                self._begin()

    def confirmed(self, reference: str) -> bool:
        """The charge is confirmed in the latest epoch; False if it was not to be."""
        return self.take(reference) is not None

    def take(self, reference: str) -> SpooledCharge | None:
        """Returns a charge that comes from here no more; None if it did not."""
        charge = self.charges.pop(reference, None)
        if charge is not None and not self.charges:
            self._drained.set()
        return charge

    async def close(self) -> None:
        """Ends; whoever adopts the spool begins anew."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _begin(self) -> None:
        if self.whole is None:
            self.whole = self._latest
            self._note(self._latest)
        elif self.whole < self._latest:
            self._anew = True
            if self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._replay())

    async def _replay(self) -> None:
        try:
            while self._anew:
                self._anew = False
                epoch = self._latest
                for segment in await asyncio.to_thread(all_segments, self._folder):
                    await self._bring(segment)
            if not self._adoptions:
                self.whole = epoch
                self._note(epoch)
        finally:
            self._task = None

    async def _bring(self, segment: Path) -> None:
        try:
            charges = await asyncio.to_thread(charges_in, segment)
        except SpoolError as error:
            log.error("spool_not_replayed: %s", error)  # noqa: TRY400 (its text says all)
            return
        self.charges = {
            reference: charge
            for reference, charge in charges.items()
            if not self._is_unconfirmed(reference)
        }
        self._drained.clear()
        if self.charges:
            self._on_read()
            await self._drained.wait()
