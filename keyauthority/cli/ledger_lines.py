"""Exported entries: one JSON object a line, oldest first, and a last line that seals them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from keyauthority.cli.output import to_dict
from keyauthority.client.admin import reading
from keyauthority.domain.credits.replaying import Exported
from keyauthority.domain.ledger import Kind
from keyauthority.pricing.amounts import LARGEST_BALANCE, parse, write
from keyauthority.v1 import ledger_service_pb2 as v1

_AMOUNTS = ("amount", "balance")


def line_of(message: Message) -> str:
    """Returns the line of an entry. Amounts are decimal credits, exact."""
    entry = to_dict(message)
    for name in _AMOUNTS:
        entry[name] = write(int(entry.pop(f"{name}_nano_credits")))
    if "use" in entry:
        use = entry["use"]
        use["held"] = write(int(use.pop("held_nano_credits")))
    return json.dumps(entry, sort_keys=True)


def entry_in(line: str) -> Exported:
    """Returns the entry of a line that `line_of` wrote; raises `ValueError` with a sentence."""
    fields = _fields(line)
    try:
        for name in _AMOUNTS:
            fields[f"{name}_nano_credits"] = parse(fields.pop(name), LARGEST_BALANCE)
        if "use" in fields:
            use = fields["use"]
            use["held_nano_credits"] = parse(use.pop("held"))
        message = ParseDict(fields, v1.LedgerEntry())
        exported = Exported(reading.entry(message), reading.terms(message))
    except (KeyError, TypeError, AttributeError, ParseError):
        raise ValueError("it is no exported entry, or one of a newer version") from None
    adds = exported.entry.kind in (Kind.GRANT, Kind.ADJUSTMENT) and exported.entry.amount > 0
    if adds and exported.terms is None:
        raise ValueError(
            "it is of an older version, whose exports lack the terms of what was added"
        )
    return exported


def digest_of(line: str) -> bytes:
    """Returns what tells two lines apart."""
    return hashlib.sha256(line.encode()).digest()


@dataclass(slots=True)
class Seal:
    """What the last line says of the others: how many there are, their sum, and a chained SHA-256.

    The chain begins with 32 zero bytes; each link is the SHA-256 of the one before and of the line,
    without its line break. The last link is of the last line's other fields, by name, as JSON.
    `workspaces` are those of the entries, `first` and `last` their bounds in time; `sha256` is that of
    all lines, once there is a last one; `faults` has a sentence for each line that does not follow from
    the others.
    """

    count: int = 0
    sum: int = 0
    chain: bytes = bytes(32)
    sha256: str = ""
    workspaces: set[str] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None
    faults: list[str] = field(default_factory=list)
    _number: int = 0
    _balance: int = 0

    def add(self, line: str) -> int:
        """Takes the next line and returns the number of its entry; raises `ValueError` if it is none."""
        entry = _fields(line)
        try:
            number, workspace_id = int(entry["number"]), str(entry["workspace_id"])
            # A balance may be larger than any amount.
            amount, balance = (parse(entry[one], LARGEST_BALANCE) for one in _AMOUNTS)
            time = datetime.fromisoformat(entry["time"])
        except (KeyError, TypeError, AttributeError):
            raise ValueError("it is no exported entry") from None
        if number <= self._number:
            self.faults.append(f"entry {number} stands after entry {self._number}")
        elif number == self._number + 1 and balance != self._balance + amount:
            self.faults.append(f"the balance of entry {number} does not follow from the one before")
        self._number, self._balance = number, balance
        self.workspaces.add(workspace_id)
        self.first = min(self.first or time, time)
        self.last = max(self.last or time, time)
        self.count += 1
        self.sum += amount
        self.chain = hashlib.sha256(self.chain + line.encode()).digest()
        return number

    def line(self, workspace_id: str, start: datetime | None, end: datetime | None) -> str:
        """Returns the last line: of which workspace and time all entries are there."""
        last = {
            "workspace_id": workspace_id,
            "start_time": start and start.isoformat(),
            "end_time": end and end.isoformat(),
            "count": self.count,
            "sum": write(self.sum),
        }
        return json.dumps(last | {"sha256": self.close(last)})

    def close(self, last: Mapping[str, Any]) -> str:
        """Returns the SHA-256 of all lines, with what the *last* says beside it."""
        fields = {name: value for name, value in last.items() if name != "sha256"}
        text = json.dumps(fields, sort_keys=True)
        self.sha256 = hashlib.sha256(self.chain + text.encode()).hexdigest()
        return self.sha256


def _fields(line: str) -> dict[str, Any]:
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError("it is no exported entry")  # noqa: TRY004  # one kind of fault
    return entry


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it was read: of what it is, and what of it is wrong."""

    workspace_id: str
    start: datetime | None
    end: datetime | None
    seal: Seal
    faults: list[str]


def exported_lines(lines: Iterable[str]) -> Iterator[tuple[int, str, bool]]:
    """Yields the number of each line, its text, and whether it seals the others: the last one does."""
    number, text = 1, ""
    for number, line in enumerate(lines, 1):
        if number > 1:
            yield number - 1, text, False
        text = line.removesuffix("\n")
    yield number, text, True


def read_export(lines: Iterable[str], digests: dict[int, bytes] | None = None) -> Export:
    """Returns the export in *lines*; raises `ValueError` with a sentence if it is none.

    Fills *digests* with those of the lines, by number.
    """
    seal, claim = Seal(), dict[str, Any]()
    for number, line, seals in exported_lines(lines):
        if seals:
            claim = _claim(line)
            continue
        try:
            entry = seal.add(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if digests is not None:
            digests[entry] = digest_of(line)
    pairs = (
        ("count", claim.get("count"), seal.count),
        ("sum", claim.get("sum"), write(seal.sum)),
        ("sha256", claim.get("sha256"), seal.close(claim)),
    )
    wrong = [
        f"the last line has the {name} {one}, and the others {other}"
        for name, one, other in pairs
        if one != other
    ]
    workspace_id, start, end = _which(claim)
    wrong += [
        f"there are entries of {one}, and the last line says {workspace_id}"
        for one in sorted(seal.workspaces - {workspace_id})
    ]
    if (start and seal.first and seal.first < start) or (end and seal.last and seal.last >= end):
        wrong.append("there are entries of another time than the last line says")
    return Export(workspace_id, start, end, seal, seal.faults + wrong)


def _which(claim: Mapping[str, Any]) -> tuple[str, datetime | None, datetime | None]:
    try:
        start, end = (_time(claim.get(name)) for name in ("start_time", "end_time"))
    except (TypeError, ValueError):
        raise ValueError("its last line has a time that is none") from None
    return str(claim["workspace_id"]), start, end


def _claim(line: str) -> dict[str, Any]:
    try:
        claim = json.loads(line)
    except ValueError:
        claim = None
    if not isinstance(claim, dict) or not {"workspace_id", "sha256"} <= claim.keys():
        raise ValueError("it has no last line that seals it: it is cut off, or no export")
    return claim


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
