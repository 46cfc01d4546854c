"""How answers are printed: one JSON document for programs, tables and sentences for people."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from keyauthority.cli.options import Options
from keyauthority.cli.terminal import columns, heading, styled
from keyauthority.client.admin import Receipt

_CUT_SHORT: Final = frozenset({"NAME", "BY", "WHO", "DETAILS", "FOR", "CREDITS", "USED"})
_NARROWEST: Final = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command: *document* for programs, *text* for people.

    *note* is for people too, on standard error. *brief* is what `--quiet` prints: ids, a new secret or
    nothing; None is the text. *exit_code* is 1 if the answer is no.
    """

    document: Message | dict[str, Any]
    text: str
    note: str = ""
    exit_code: int = 0
    brief: str | None = None

    def printed(self, options: Options) -> str:
        """Returns what *options* print of it: a JSON document on several lines, or text."""
        if options.json:
            message = self.document
            document = to_dict(message) if isinstance(message, Message) else message
            return json.dumps(document, indent=2)
        return self.text if self.brief is None or not options.quiet else self.brief


def to_dict(message: Message) -> dict[str, Any]:
    """Returns protobuf's JSON of *message*, with the proto's own field names, unset fields included."""
    fields: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return fields


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns left-aligned columns under *headings*.

    On a terminal that is too narrow, columns of names and remarks are cut short, ids never.
    """
    lines = [list(headings), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    _narrow(lines, widths, columns())
    first, *others = lines
    body = (_line(cells, widths, styled) for cells in others)
    return "\n".join((heading(_line(first, widths)), *body))


def details(fields: Iterable[tuple[str, str]]) -> str:
    """Returns one line, `name:  value`, for each field."""
    lines = [(f"{name}:", printable(value)) for name, value in fields]
    widths = [max(_width(name) for name, _ in lines), 0]
    return "\n".join(_line(cells, widths) for cells in lines)


def printable(text: str) -> str:
    """Returns *text* without characters that move a terminal's cursor or set its colour."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def moment(time: datetime) -> str:
    """Returns the time in UTC, to the second, as in RFC 3339."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def word(choice: Enum | None) -> str:
    """Returns a choice of the contract as a word: "active". None is one that only newer versions know."""
    if choice is None:
        return "unknown"
    # People pause and resume keys; the contract calls a paused key disabled.
    return "paused" if choice.name == "DISABLED" else choice.name.lower().replace("_", " ")


def named(record_id: str, name: str) -> str:
    """Returns the id and the name of a record, for a sentence."""
    return f'{record_id} "{printable(name)}"'


def pairs(labels: Mapping[str, str]) -> str:
    """Returns labels as `a=1 b=2`."""
    return " ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def spread(receipt: Receipt) -> str:
    """Returns the receipt as one sentence."""
    confirmed, waited_out = receipt.sessions_acknowledged, receipt.leases_waited_out
    how = [f"confirmed by {count(confirmed, 'verifier')}"] if confirmed else []
    how += [f"{count(waited_out, 'lease')} waited out"] if waited_out else []
    how += [f"{receipt.waited // timedelta(milliseconds=1)} ms"] if how else []
    waits = f": {', '.join(how)}" if how else ""
    return f"In force everywhere as of revision {receipt.revision}{waits}."


def count(number: int, noun: str) -> str:
    """Returns the number and the noun: "1 key", "1,200 keys"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def entry_count(number: int) -> str:
    """Returns how many entries there are: "1 entry", "1,200 entries"."""
    return "1 entry" if number == 1 else f"{number:,} entries"


def _narrow(lines: Sequence[list[str]], widths: list[int], room: int | None) -> None:
    # The widest of the columns that may be cut gives way first.
    places = [place for place, name in enumerate(lines[0]) if name in _CUT_SHORT]
    while room is not None and sum(widths) + 2 * (len(widths) - 1) > room:
        widest = max(places, key=lambda place: widths[place], default=None)
        if widest is None or widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1
        for cells in lines[1:]:
            cells[widest] = _cut(cells[widest], widths[widest])


def _cut(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    text = text.removesuffix("…")
    while _width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _line(cells: Sequence[str], widths: Sequence[int], style: Callable[[str], str] = str) -> str:
    # The padding of the last cell is left out, and a style must not be in the way of that.
    last = len(cells) - 1
    while last > 0 and not cells[last]:
        last -= 1
    padded = [
        style(cell) + " " * (width - _width(cell))
        for cell, width in zip(cells, widths, strict=True)
    ]
    return "  ".join((*padded[:last], style(cells[last])))


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
