"""Event streams taken apart by the rules of WHATWG's HTML, section 9.2."""

from __future__ import annotations

import re
from typing import Final

# Where two ends of lines follow each other, be they CRLF, LF or CR, one of these pairs stands.
_BLANK_LINES: Final = (b"\n\n", b"\n\r", b"\r\r")
_lines = re.compile(rb"\r\n|\n|\r").split


def end_of_event(text: bytes, start: int) -> int:
    """Returns where the first event ends whose blank line begins after *start*; 0 if none does.

    A carriage return at the end of *text* ends a line, to which a line feed may still belong.
    """
    # A stream without carriage returns, as nearly all are, is searched once.
    if b"\r" not in text:
        at = text.find(b"\n\n", start)
        return at + 2 if at >= 0 else 0
    places = [at for pair in _BLANK_LINES if (at := text.find(pair, start)) >= 0]
    if not places:
        return 0
    at = min(places)
    return at + 3 if text[at + 1 : at + 3] == b"\r\n" else at + 2


def data_of(event: bytes) -> bytes | None:
    """Returns the data of *event*, its lines joined; None if it has none, as a comment."""
    if event.startswith(b"data:") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2] if event.startswith(b"data: ") else event[5:-2]
    fields = [line.partition(b":") for line in _lines(event)]
    data = [value.removeprefix(b" ") for name, _, value in fields if name == b"data"]
    return b"\n".join(data) if data else None
