"""What is in the spools of a folder, for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from keyauthority.client.spending.frames import Damage
from keyauthority.client.spending.ownership import spools_in
from keyauthority.client.spending.records import (
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
)
from keyauthority.client.spending.recovery import read, recover
from keyauthority.client.spending.segments import all_segments


def show(folder: Path) -> Iterator[str]:
    """Yields lines about each spool in *folder*, and a line for each of its records.

    It changes and locks nothing, so it may be asked while processes write there. What can't be read
    is said in a line. Raises `SpoolError` if *folder* is none.
    """
    if not folder.is_dir():
        raise SpoolError(f"{folder} is no folder")
    for spool in spools_in(folder):
        yield from _show_spool(spool)


def _show_spool(spool: Path) -> Iterator[str]:
    try:
        contents = recover(spool)
        yield (
            f"{spool}: {len(contents.holds)} holds without an end, {len(contents.charges)} charges "
            f"to be confirmed, {contents.unreadable} unreadable places; all others are confirmed in "
            f"epoch {contents.epoch or 'none'}"
        )
        for segment in all_segments(spool):
            yield f"{segment.name}:"
            yield from (f"  {_text(record)}" for record in read(segment))
    except (OSError, SpoolError) as error:  # its owner may have removed what was listed
        yield f"{spool}: {error}"


def _text(record: Record | Damage) -> str:  # noqa: PLR0911 (a line for each kind)
    match record:
        case Begun():
            return f"{_time(record.time)} begun, version {record.version}"
        case Carried():
            return f"the {record.count} records above are carried over"
        case Held():
            return f"{_time(record.time)} hold {_request(record.charge)}"
        case Charged():
            how = ", estimated" if record.charge.estimated else ""
            counts = " ".join(f"{name}={count}" for name, count in record.charge.counts.items())
            return (
                f"{_time(record.time)} charge {record.charge.cost} nano-credits{how}, status "
                f"{record.charge.status}, {counts or 'no counts'}, {_request(record.charge)}"
            )
        case Voided():
            return f"void {record.reference}"
        case Confirmed():
            return f"confirmed in epoch {record.epoch}: {' '.join(record.references)}"
        case Whole():
            return f"all else that ended is confirmed in epoch {record.epoch}"
        case Closed():
            return "closed"
        case Damage():
            what = "torn" if record.torn else "unreadable"
            return f"{what}: {record.length} bytes at {record.offset}"


def _request(charge: SpooledCharge) -> str:
    held = sum(charge.parts.values())
    # What a client chose may contain anything, such as codes for the terminal.
    return (
        f"{charge.reference} of {charge.workspace_id}, {held} nano-credits held, key {charge.key_id}, "
        f"model {charge.model!r}, path {charge.path!r}, request {charge.request_id!r}"
    )


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
