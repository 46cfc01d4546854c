"""Reads what processes left in their spools, whatever a power cut or the disk made of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keyauthority.client.spending.frames import HEAD, Damage, frames
from keyauthority.client.spending.records import (
    VERSION,
    Begun,
    Carried,
    Charged,
    Closed,
    Confirmed,
    Held,
    Record,
    SpooledCharge,
    SpoolError,
    Voided,
    Whole,
    decoded,
)
from keyauthority.client.spending.segments import live_segments

log = logging.getLogger("keyauthority.client")


@dataclass(slots=True)
class Contents:
    """What a spool holds that is open or unconfirmed, and what can't be read of it."""

    holds: dict[str, Held] = field(default_factory=dict)
    charges: dict[str, Charged] = field(default_factory=dict)
    epoch: int | None = None
    """In which all else that ended is confirmed; None if nothing is."""
    boot: str = ""
    closed: bool = False
    torn: int = 0
    """Files that end within a record: its writer died there, before anybody went by the record."""
    unreadable: int = 0
    """Places where records may be lost."""

    def ended(self) -> list[Charged]:
        """Returns the charges, and the holds without an end as charges: as held, estimated."""
        return [
            *self.charges.values(),
            *(Charged(hold.time, hold.charge) for hold in self.holds.values()),
        ]


def read(segment: Path) -> Iterator[Record | Damage]:
    """Yields the records in a segment, and what can't be read there.

    Raises `SpoolError` for a format of a newer version, or if the file can't be read.
    """
    try:
        content = segment.read_bytes()
    except OSError as error:
        raise SpoolError(f"{segment} can't be read: {error.strerror}") from error
    at = 0
    for part in frames(content):
        if isinstance(part, Damage):
            yield part
            at = part.offset + part.length
            continue
        yield _record(segment, part, at)
        at += HEAD + len(part)


def _record(segment: Path, payload: bytes, at: int) -> Record | Damage:
    try:
        record = decoded(payload)
    except ValueError:
        return Damage(at, HEAD + len(payload), torn=False)
    if isinstance(record, Begun) and record.version > VERSION:
        raise SpoolError(
            f"{segment} has version {record.version} of the format, and this program reads up to "
            f"{VERSION}: start the newer program, which takes it"
        )
    return record


def recover(folder: Path) -> Contents:
    """Returns what the spool in *folder* holds; raises `SpoolError` if that can't be read.

    The newest segment says all that is open and unconfirmed. If what it carried over from the earlier
    ones is not all there, these are read as well.
    """
    chain: list[list[Record | Damage]] = []
    contents = Contents()
    for segment in reversed(live_segments(folder)):
        records = list(read(segment))
        _report(segment, records, contents)
        chain.append(records)
        if _is_complete(records):
            break
    for records in reversed(chain):
        for record in records:
            _apply(record, contents)
    return contents


def charges_in(segment: Path) -> dict[str, SpooledCharge]:
    """Returns all charges in a segment, confirmed or not; raises `SpoolError`."""
    records = read(segment)
    charges = (record.charge for record in records if isinstance(record, Charged))
    return {charge.reference: charge for charge in charges}


def _report(segment: Path, records: list[Record | Damage], contents: Contents) -> None:
    for damage in records:
        if not isinstance(damage, Damage):
            continue
        if damage.torn:
            contents.torn += 1
            log.warning("spool_torn: %s ends within a record, at %d", segment, damage.offset)
        else:
            contents.unreadable += 1
            log.error(
                "spool_unreadable: %s, %d bytes at %d; requests may have been lost there",
                segment,
                damage.length,
                damage.offset,
            )


def _is_complete(records: list[Record | Damage]) -> bool:
    count = 0
    for record in records:
        if isinstance(record, Carried):
            return record.count == count
        count += isinstance(record, Held | Charged)
    return False


def _apply(record: Record | Damage, contents: Contents) -> None:
    match record:
        case Begun():
            contents.epoch, contents.boot = record.epoch, record.boot
        case Held():
            contents.holds[record.charge.reference] = record
        case Voided():
            contents.holds.pop(record.reference, None)
        case Charged():
            contents.holds.pop(record.charge.reference, None)
            contents.charges[record.charge.reference] = record
        case Confirmed():
            _confirm(record, contents)
        case Whole():
            contents.epoch = record.epoch
        case Closed():
            contents.closed = True


def _confirm(record: Confirmed, contents: Contents) -> None:
    # The record that says it for all may have found no room.
    contents.epoch = record.epoch if contents.epoch is None else contents.epoch
    for reference in record.references:
        contents.charges.pop(reference, None)
