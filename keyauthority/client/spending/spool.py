"""The spool: a verifier's durable list of holds, and of charges that the authority has not confirmed."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from keyauthority.client.spending import ownership, records
from keyauthority.client.spending.adoption import Orphan, boot_id
from keyauthority.client.spending.counters import SpoolState
from keyauthority.client.spending.group_commit import CLOSED_WITHIN
from keyauthority.client.spending.journal import SEGMENT_BYTES, Journal
from keyauthority.client.spending.records import SpooledCharge, SpoolError
from keyauthority.client.spending.replaying import Replaying
from keyauthority.client.spending.segments import Fsync
from keyauthority.escrow.slices import SliceKey

log = logging.getLogger("keyauthority.client")


class Spool:
    """The spool of this process, in a folder that it shares with other processes.

    To be used in one event loop, and closed in it. What is open or unconfirmed is in memory too, as
    it stands in the file: a new segment begins with all of it, so an earlier one is needed only for
    the charges that were confirmed in an epoch that may be over.

    **When the disk fails.** A hold that can't be written raises `SpoolError`, and is not held. An end
    that can't be written or synced is remembered, and raises `SpoolError` to those who wait for it:
    it is in the next segment that can be written, which is tried every 100 ms and by each further
    call, and until then no hold is written. Repeating the call waits for that. If the process dies
    before, the hold is found without its end, and charged as held.

    Args:
        folder: Where the spools of all processes are: on a local disk that outlives them.
        fsync: Writes a file or folder to the disk; raises `OSError`.
        now: The wall clock, in seconds. It decides nothing but ages.
        segment_bytes: How long a segment gets.
        archive_bytes: What confirmed charges may take on the disk; then the oldest go before their time.

    Raises `SpoolError` if no spool can be made there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fsync: Fsync = os.fsync,
        now: Callable[[], float] = time.time,
        segment_bytes: int = SEGMENT_BYTES,
        archive_bytes: int | None = None,
    ) -> None:
        self._parent = folder
        self._now = now
        self._boot = boot_id()
        # When they were written down, and what their charges will say of them, too.
        self._open: dict[str, tuple[int, str]] = {}
        self._unconfirmed: dict[str, SpooledCharge] = {}
        self._used = False
        self.on_replayed: Callable[[], None] = _do_nothing
        """Called when `unconfirmed` has charges that were confirmed in an older epoch."""
        try:
            self._owned = ownership.create(folder, fsync)
        except OSError as error:
            raise SpoolError(f"no spool can be made in {folder}: {error.strerror}") from error
        self._replaying = Replaying(
            self._owned.path, self._unconfirmed.__contains__, self._note_whole, self._replayed
        )
        try:
            self._journal = Journal(
                self._owned.path, self._content, fsync, now, segment_bytes, archive_bytes
            )
        except OSError as error:
            self._owned.path.rmdir()
            self._owned.release()
            raise self._error(error) from error

    # --- requests

    def hold(self, charge: SpooledCharge) -> None:
        """Writes down what is held for a request, before it is sent; raises `SpoolError`."""
        self._write_hold(charge.reference, int(self._now()), records.fields(charge))

    def extend(self, reference: str, parts: Mapping[SliceKey, int]) -> None:
        """Writes down that the hold has *parts* from now on, all of them, before they are used.

        Raises `SpoolError`, and `KeyError` if there is no such hold.
        """
        time, fields = self._open[reference]
        self._write_hold(reference, time, records.extended(fields, parts))

    def notify(self, on_synced: Callable[[int], None]) -> None:
        """Has *on_synced* called with the number up to which all is synced, whenever it has grown."""
        self._journal.on_synced = on_synced

    def end(self, charged: Iterable[SpooledCharge], voided: Iterable[str]) -> int:
        """Ends holds: by what the requests cost, or by their references if they cost nothing.

        It does not wait: returns the number of what was written, which `notify` tells of. The first
        charge of a reference counts. One without a hold is written too, as nothing is free by
        accident. Raises `SpoolError`, and then nothing has ended.
        """
        self._check_owned()
        self._journal.soon()
        number, time = self._journal.written + 1, int(self._now())
        frames = [
            self._keep(time, one) for one in charged if one.reference not in self._unconfirmed
        ]
        frames += [records.voided(one) for one in voided if self._open.pop(one, None) is not None]
        if frames:
            self._write_ends(b"".join(frames))
        return min(number, self._journal.written)

    def hurry(self) -> None:
        """Syncs at once what is written now, since somebody waits for it."""
        self._journal.hurry()

    async def durable(self) -> None:
        """Returns when all that is written now is synced; raises `SpoolError`."""
        try:
            await self._journal.durable()
        except OSError as error:
            raise self._error(error) from error

    # --- the authority's word

    def confirmed(self, references: Iterable[str], epoch: int) -> None:
        """The authority has entered these charges in *epoch*, or knew them. Others are ignored.

        So is the word of an epoch that is over. If it can't be written down, the charges are sent
        again after a restart. After the end nothing is: that is for whoever adopts the spool.
        """
        if not self._owned.held or self._replaying.is_over(epoch):
            return
        self._replaying.heard(epoch)
        replayed = self._replaying.confirmed
        known = [
            one
            for one in references
            if self._unconfirmed.pop(one, None) is not None or replayed(one)
        ]
        if known:
            self._journal.note(records.confirmed(epoch, known))

    def refused(self, references: Iterable[str]) -> None:
        """The authority can't enter these charges now: they stay unconfirmed.

        Those that came again in a newer epoch are written anew, so that the next of them can come.
        """
        for reference in references if self._owned.held else ():
            charge = self._replaying.charges.get(reference)
            if charge is not None:
                # It is on the disk already, in an earlier segment.
                synced = self._journal.synced
                self._write_ends(self._keep(int(self._now()), charge))
                charge.number = synced
                self._replaying.take(reference)

    def unconfirmed(self, epoch: int) -> list[SpooledCharge]:
        """Returns the charges that ended and are not confirmed in *epoch*, as far as they are known.

        With a newer epoch than any before, those confirmed in the last 72 h come again: a segment at
        a time, from the disk, the next when all of one are confirmed or refused. So this is to be asked
        whenever `on_replayed` is called.
        """
        self._replaying.heard(epoch)
        synced = self._journal.synced
        own = [one for one in self._unconfirmed.values() if one.number <= synced]
        return own + list(self._replaying.charges.values())

    @property
    def replaying(self) -> bool:
        """Whether charges confirmed in an older epoch are still to come, or to be confirmed."""
        return self._replaying.active

    # --- other processes

    async def adopt(self) -> list[SpooledCharge]:
        """Takes what processes left that are gone; returns their charges.

        A hold without an end becomes a charge as held, estimated, with status 0. All of them are
        unconfirmed here from now on. A spool that can't be read stays where it is, and is logged.
        Raises `SpoolError` if this one can't be written; then the others stay too. If some were taken
        before, these are returned, and the error is logged.
        """
        adopted: list[SpooledCharge] = []
        await asyncio.to_thread(ownership.remove_unfinished, self._parent)
        for path in await asyncio.to_thread(ownership.spools_in, self._parent):
            orphan = await Orphan.claimed(path)
            if orphan is None:
                continue
            try:
                adopted += await self._take(orphan)
            except SpoolError as error:
                if not adopted:
                    raise
                log.error("spool_not_adopted: %s: %s", path, error)  # noqa: TRY400 (its text says all)
                break
            finally:
                orphan.release()
        return adopted

    def state(self) -> SpoolState:
        """Returns what is in the spool, in whatever thread metrics are served."""
        times = [one.time for one in list(self._unconfirmed.values())]
        return SpoolState(
            len(self._open),
            len(times) + len(self._replaying.charges),
            self._journal.size,
            max(self._now() - min(times), 0.0) if times else 0.0,
        )

    async def close(self, within: float = CLOSED_WITHIN) -> None:
        """Syncs what can be synced *within* so many seconds, and leaves the spool to whoever adopts it."""
        if not self._owned.held:
            return
        await self._replaying.close()
        if self._used:
            self._write_ends(records.closed())
        await self._journal.close(within)
        if not self._used:
            with suppress(OSError):
                self._journal.remove()
                self._owned.path.rmdir()
        self._owned.release()

    # --- writing

    def _write_hold(self, reference: str, time: int, fields: str) -> None:
        self._check_owned()
        try:
            self._journal.write(records.held(time, fields))
        except OSError as error:
            raise self._error(error) from error
        self._open[reference] = time, fields
        self._used = True

    def _write_ends(self, frames: bytes) -> None:
        self._used = True
        self._journal.write_known(frames)

    def _keep(self, time: int, charge: SpooledCharge) -> bytes:
        hold = self._open.pop(charge.reference, None)
        fields = hold[1] if hold is not None else records.fields(charge)
        charge.frame = records.charged(time, fields, charge)
        charge.time = time
        charge.number = self._journal.written + 1
        self._unconfirmed[charge.reference] = charge
        return charge.frame

    async def _take(self, orphan: Orphan) -> list[SpooledCharge]:
        contents = orphan.contents
        ended = [one for one in contents.ended() if one.charge.reference not in self._unconfirmed]
        with self._replaying.adopting(contents.epoch):
            frames = [self._keep(one.time, one.charge) for one in ended]
            if self._replaying.whole is not None:
                frames.append(records.whole(self._replaying.whole))
            self._write_ends(b"".join(frames))
            try:
                await self.durable()
            except SpoolError:
                # They stay the orphan's, and are returned when it is adopted.
                for one in ended:
                    self._unconfirmed.pop(one.charge.reference, None)
                raise
            await asyncio.to_thread(orphan.move_to, self._owned.path)
        return [one.charge for one in ended]

    def _content(self) -> bytes:
        """Returns what a new segment begins with: all that is open or unconfirmed."""
        frames = [
            *(records.held(time, fields) for time, fields in self._open.values()),
            *(one.frame for one in self._unconfirmed.values()),
        ]
        begun = records.begun(int(self._now()), self._boot, self._replaying.whole)
        return b"".join([begun, *frames, records.carried(len(frames))])

    def _note_whole(self, epoch: int) -> None:
        self._journal.note(records.whole(epoch))

    def _replayed(self) -> None:
        self.on_replayed()

    def _check_owned(self) -> None:
        if not self._owned.held:
            raise SpoolError(f"the spool {self._owned.path} is closed, or another process's")

    def _error(self, error: OSError) -> SpoolError:
        return SpoolError(f"the spool {self._owned.path} can't be written: {error.strerror}")


def _do_nothing() -> None:
    """Stands for a call that nobody wants."""
