"""`keyauthority ledger export`: all entries of a workspace, or of a month, sealed; and the check of such a file."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import click

from keyauthority.cli.authority import Authority, connected
from keyauthority.cli.failures import Failure
from keyauthority.cli.files import write_whole
from keyauthority.cli.ledger_lines import Export, Seal, digest_of, line_of, read_export
from keyauthority.cli.listing import entries
from keyauthority.cli.names import WORKSPACE
from keyauthority.cli.output import Answer, entry_count
from keyauthority.cli.terminal import counted
from keyauthority.cli.values import FILE, ZONE, Parsed
from keyauthority.client.admin import TransportError, ledger
from keyauthority.domain.ledger import EntryFilter
from keyauthority.pricing.amounts import write

_PAGE = 1_000


def _parse_month(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError("must be a month such as 2026-11") from None


@click.command()
@click.argument("workspace_id", metavar="[WORKSPACE]", required=False, type=WORKSPACE)
@click.option("--month", type=Parsed("month", _parse_month), help="Entries of this month: 2026-11.")
@click.option("--all", "everything", is_flag=True, help="All entries.")
@click.option("--zone", type=ZONE, default="UTC", show_default=True, help="Whose months.")
@click.option("--output", type=FILE, help="Write to this file (0600), whole or not at all.")
@click.option("--check", type=FILE, help="Check this file instead, and compare it with the ledger.")
@click.pass_context
def export(
    context: click.Context,
    workspace_id: str | None,
    month: datetime | None,
    everything: bool,  # as click passes it
    zone: ZoneInfo,
    output: Path | None,
    check: Path | None,
) -> Answer:
    """Write a workspace's entries as JSON, oldest first: one entry per line.

    A last line says how many there are, their sum, and a SHA-256 that is chained over all lines. After a
    restore from a backup, `db restore-epoch --replay` enters again what the backup lacks of it.
    """
    if check is not None:
        return _check(context, check)
    if workspace_id is None or everything is (month is not None):
        raise click.UsageError("name the workspace, and either --month or --all; or --check FILE")
    start, end = (None, None) if month is None else _bounds(month, zone)
    authority = context.with_resource(connected(context.obj))
    which = EntryFilter(WORKSPACE.find(authority, workspace_id, ""), start=start, end=end)
    seal = Seal()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        newest_first = _newest_first(authority, which)
        if output is not None:
            newest_first = counted(newest_first, "Entries")
        lines = _sealed(_oldest_first(newest_first, file), seal, which)
        if output is not None:
            write_whole(output, lines)
        else:
            for line in lines:
                click.echo(line)
    document = {"entries": seal.count, "sum": write(seal.sum), "sha256": seal.sha256}
    if output is None:
        # The lines are the answer, for people and programs alike.
        return Answer({}, "")
    return Answer(document, "", f"Wrote {entry_count(seal.count)} to {output}.")


def _bounds(month: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    start = month.replace(tzinfo=zone)
    end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start.astimezone(UTC), end.astimezone(UTC)


def _newest_first(authority: Authority, which: EntryFilter) -> Iterator[tuple[int, str]]:
    page = functools.partial(ledger.page, which)
    for entry in entries(authority, "entries", page, _PAGE):
        yield entry.record.number, line_of(entry.message)


def _oldest_first(newest_first: Iterator[tuple[int, str]], file: IO[str]) -> Iterator[str]:
    # The newest come first, and may be too many to remember: they wait in *file*.
    places = []
    for _, line in newest_first:
        places.append(file.tell())
        file.write(f"{line}\n")
    for place in reversed(places):
        file.seek(place)
        yield file.readline().removesuffix("\n")


def _sealed(lines: Iterator[str], seal: Seal, which: EntryFilter) -> Iterator[str]:
    for line in lines:
        seal.add(line)
        yield line
    yield seal.line(which.workspace_id, which.start, which.end)


def _check(context: click.Context, file: Path) -> Answer:
    digests: dict[int, bytes] = {}
    try:
        with file.open(encoding="utf-8") as lines:
            exported = read_export(lines, digests)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise click.ClickException(f"cannot read {file}: {error}") from None
    authority = context.with_resource(connected(context.obj))
    try:
        faults, newer = _compared(authority, exported, digests)
        how = "It agrees with itself and with the ledger"
        note = f"The ledger has {entry_count(newer)} of that time that are newer." if newer else ""
        compared = True
    except Failure as failure:
        # An answer such as that there is no such workspace is no agreement.
        if not (exported.faults or isinstance(failure.error, TransportError)):
            raise
        faults, compared = [], False
        how = "It agrees with itself"
        note = f"It was not compared with the ledger: {failure.format_message()}"
    faults = exported.faults + faults
    seal = exported.seal
    document = {
        "entries": seal.count,
        "sum": write(seal.sum),
        "sha256": seal.sha256,
        "compared": compared,
        "faults": faults,
    }
    if faults:
        return Answer(document, "\n".join(("It is wrong:", *faults)), note, exit_code=1)
    sentence = f"{how}: {entry_count(seal.count)}, {write(seal.sum)} credits."
    return Answer(document, sentence, note)


def _compared(
    authority: Authority, exported: Export, digests: Mapping[int, bytes]
) -> tuple[list[str], int]:
    # What differs, and how many entries came after the export.
    which = EntryFilter(exported.workspace_id, start=exported.start, end=exported.end)
    left, faults, newer = dict(digests), [], 0
    newest = max(left, default=0)
    for number, line in _newest_first(authority, which):
        if number > newest:
            newer += 1
        elif number not in left:
            faults.append(f"entry {number} is missing")
        elif left.pop(number) != digest_of(line):
            faults.append(f"entry {number} differs from that of the ledger")
    faults.extend(f"the ledger has no entry {number} of that time" for number in left)
    return faults, newer
