"""How answers are shown: one JSON document for programs, tables and sentences for people."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from keyauthority.client.admin import Receipt


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found out or did, in both forms.

    `note` is for people, beside the text. `exit_code` is 1 if the answer is no.
    """

    document: Message | dict[str, Any]
    text: str
    note: str = ""
    exit_code: int = 0

    def json(self) -> str:
        """The document as JSON, on several lines."""
        document = to_dict(self.document) if isinstance(self.document, Message) else self.document
        return json.dumps(document, indent=2)


def to_dict(message: Message) -> dict[str, Any]:
    """The message as protobuf's JSON, with the proto's own field names, unset fields included."""
    fields: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return fields


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned columns under *headings*."""
    lines = [list(headings), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(cells, widths) for cells in lines)


def details(fields: Iterable[tuple[str, str]]) -> str:
    """One `name  value` line for each field."""
    lines = [(f"{name}:", printable(value)) for name, value in fields]
    widths = [max(_width(name) for name, _ in lines), 0]
    return "\n".join(_line(cells, widths) for cells in lines)


def printable(text: str) -> str:
    """The text without what would move a terminal's cursor or colour it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def moment(time: datetime) -> str:
    """The time in UTC, to the second, as RFC 3339 has it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def word(choice: Enum | None) -> str:
    """`KeyState.ACTIVE` as a word; None is a choice that this version does not know."""
    return "unknown" if choice is None else choice.name.lower().replace("_", " ")


def pairs(labels: Mapping[str, str]) -> str:
    """Labels and the like as `a=1 b=2`."""
    return " ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def spread(receipt: Receipt) -> str:
    """The receipt as one sentence."""
    confirmed, waited_out = receipt.sessions_acknowledged, receipt.leases_waited_out
    how = [f"confirmed by {_count(confirmed, 'verifier')}"] if confirmed else []
    how += [f"{_count(waited_out, 'lease')} waited out"] if waited_out else []
    how += [f"{receipt.waited // timedelta(milliseconds=1)} ms"] if how else []
    return (
        f"In force everywhere as of revision {receipt.revision}{': ' * bool(how)}{', '.join(how)}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)
    )
    return "  ".join(padded).rstrip()


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
