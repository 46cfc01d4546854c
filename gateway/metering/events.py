"""Event streams taken apart by the rules of WHATWG's HTML, section 9.2."""

from __future__ import annotations

import re

# A carriage return at the end of what has come ends a line: a line feed after it belongs to it.
_blank_line = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}").search
_lines = re.compile(rb"\r\n|\n|\r").split

LONGEST_END = 4
"""Bytes of the longest blank line, with the end of the line before it."""


def end_of_event(text: bytes, start: int) -> int:
    """Returns where the first event ends that ends in *text* after *start*; 0 if none does."""
    # A stream without carriage returns, as nearly all are, is searched much faster.
    if b"\r" not in text:
        blank_line = text.find(b"\n\n", start)
        return blank_line + 2 if blank_line >= 0 else 0
    blank = _blank_line(text, start)
    return blank.end() if blank else 0


def data_of(event: bytes) -> bytes | None:
    """Returns the data of *event*, its lines joined; None if it has none, as a comment."""
    if event.startswith(b"data:"):
        line = event.rstrip(b"\r\n")
        if b"\n" not in line and b"\r" not in line:
            return line[6:] if line.startswith(b"data: ") else line[5:]
    fields = [line.partition(b":") for line in _lines(event)]
    data = [value.removeprefix(b" ") for name, _, value in fields if name == b"data"]
    return b"\n".join(data) if data else None
