"""Exported entries: one JSON object a line, oldest first, and a last line that seals them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from keyauthority.cli.output import to_dict
from keyauthority.pricing.amounts import parse, write

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


def digest_of(line: str) -> bytes:
    """Returns what tells two lines apart."""
    return hashlib.sha256(line.encode()).digest()


@dataclass(slots=True)
class Seal:
    """What the last line says of the others: how many there are, their sum, and a chained SHA-256.

    The chain begins with 32 zero bytes; each link is the SHA-256 of the one before and of the line,
    without its line break. `faults` has a sentence for each line that does not follow from the others.
    """

    count: int = 0
    sum: int = 0
    chain: bytes = bytes(32)
    faults: list[str] = field(default_factory=list)
    _number: int = 0
    _balance: int = 0

    def add(self, line: str) -> int:
        """Takes the next line and returns the number of its entry; raises `ValueError` if it is none."""
        entry = _entry(line)
        try:
            number, amount, balance = int(entry["number"]), *(parse(entry[one]) for one in _AMOUNTS)
        except (KeyError, TypeError, AttributeError):
            raise ValueError("it is no exported entry") from None
        if number <= self._number:
            self.faults.append(f"entry {number} stands after entry {self._number}")
        elif number == self._number + 1 and balance != self._balance + amount:
            self.faults.append(f"the balance of entry {number} does not follow from the one before")
        self._number, self._balance = number, balance
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
            "sha256": self.chain.hex(),
        }
        return json.dumps(last)


def _entry(line: str) -> dict[str, Any]:
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError("it is no exported entry")  # noqa: TRY004  # one kind of fault
    return entry


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it was read: of what it is, what of it is wrong, and its lines by number."""

    workspace_id: str
    start: datetime | None
    end: datetime | None
    seal: Seal
    faults: list[str]
    digests: dict[int, bytes]


def read_export(lines: Iterable[str]) -> Export:
    """Returns the export in *lines*; raises `ValueError` with a sentence if it is none."""
    seal, digests, last = Seal(), dict[int, bytes](), ""
    for place, line in enumerate(lines):
        if place:
            try:
                digests[seal.add(last)] = digest_of(last)
            except ValueError as error:
                raise ValueError(f"line {place}: {error}") from None
        last = line.removesuffix("\n")
    claim = _claim(last)
    pairs = (
        ("count", claim.get("count"), seal.count),
        ("sum", claim.get("sum"), write(seal.sum)),
        ("sha256", claim.get("sha256"), seal.chain.hex()),
    )
    wrong = [
        f"the last line has the {name} {one}, and the others {other}"
        for name, one, other in pairs
        if one != other
    ]
    start, end = (_time(claim.get(name)) for name in ("start_time", "end_time"))
    return Export(claim["workspace_id"], start, end, seal, seal.faults + wrong, digests)


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
