"""The files that `db restore-epoch --replay` takes: exports of the audit, and of ledgers."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from google.protobuf.json_format import ParseDict, ParseError

from keyauthority.cli.ledger_lines import entry_in, exported_lines, read_export
from keyauthority.client.admin import reading
from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.credits.replaying import Exported
from keyauthority.v1 import audit_service_pb2 as v1


@dataclass(frozen=True, slots=True)
class Replays:
    """The entries of the audit, and the files of each workspace's ledger."""

    audit: list[AuditEntry] = field(default_factory=list)
    ledgers: dict[str, list[Path]] = field(default_factory=dict)


def read_replays(files: Sequence[Path]) -> Replays:
    """Reads *files*, of which each is an export of the audit or of a ledger, as its lines say.

    An export of a ledger may be too large to remember: it is only checked against its seal. Raises
    `click.ClickException` with a sentence, for the first that can't be read or is wrong.
    """
    replays = Replays()
    for file in files:
        try:
            if _is_ledger(file):
                replays.ledgers.setdefault(_workspace_of(file), []).append(file)
            else:
                replays.audit.extend(audit_entries(file))
        except (OSError, UnicodeDecodeError) as error:
            raise click.ClickException(f"cannot read {file}: {error}") from None
    return replays


def exported_entries(ledgers: Mapping[str, Sequence[Path]]) -> dict[str, Iterator[Exported]]:
    """Returns the entries in the files of *ledgers*, by workspace; each's are read once, by number.

    Several files of one workspace, such as its months, may overlap. To read them may raise
    `click.ClickException`.
    """
    return {workspace_id: _merged(files) for workspace_id, files in ledgers.items()}


def _merged(files: Iterable[Path]) -> Iterator[Exported]:
    yield from heapq.merge(*map(_entries_in, files), key=lambda one: one.entry.number)


def audit_entries(file: Path) -> list[AuditEntry]:
    """Returns the entries in an export of the audit; raises `click.ClickException` if it is none."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [
        _audit_entry(file, number, line) for number, line in enumerate(lines, 1) if line.strip()
    ]


def _audit_entry(file: Path, number: int, line: str) -> AuditEntry:
    try:
        message = ParseDict(json.loads(line), v1.AuditEntry())
        entry = reading.audit_entry(message)
    except (ValueError, ParseError, TypeError):
        message = None
    if message is None or not (message.id and message.action and message.HasField("time")):
        raise click.ClickException(f"{file}, line {number}, is no exported audit entry")
    return entry


def _is_ledger(file: Path) -> bool:
    # Lines of the audit have ids; of a ledger without entries there is the last line alone.
    with file.open(encoding="utf-8") as lines:
        first = next((line for line in lines if line.strip()), "")
    try:
        fields = json.loads(first)
    except ValueError:
        return False
    return isinstance(fields, dict) and ("number" in fields or "sha256" in fields)


def _workspace_of(file: Path) -> str:
    with file.open(encoding="utf-8") as lines:
        try:
            exported = read_export(lines)
        except ValueError as error:
            raise click.ClickException(f"{file} can't be replayed: {error}") from None
    if exported.faults:
        raise click.ClickException(f"{file} can't be replayed: {exported.faults[0]}")
    return exported.workspace_id


def _entries_in(file: Path) -> Iterator[Exported]:
    with file.open(encoding="utf-8") as lines:
        for number, line, seals in exported_lines(lines):
            if seals:
                return
            try:
                yield entry_in(line)
            except ValueError as error:
                raise click.ClickException(f"{file}, line {number}: {error}") from None
