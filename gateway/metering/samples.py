"""Events that differ from an earlier one in their text alone, as nearly all of a stream do."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.metering.events import data_of
from gateway.metering.pieces import read_piece, told

_LONGEST: Final = 200
"""Bytes of a text: a longer one may be a file."""

# A string in JSON as it stands there, without what ends it, is written otherwise, or is not allowed.
_is_plain = re.compile(rb'[^"\\\x00-\x1f]{0,%d}' % _LONGEST).fullmatch
_text = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|thinking|delta)":"([^"\\\x00-\x1f]+)"'
).search


class Sample(NamedTuple):
    """An event, by which others are known that have the same around their text.

    JSON is read from left to right: after the same beginning, up to within a string, another text of
    plain characters is the value of the same string, and the rest means what it meant.
    """

    start: bytes
    """Up to the text."""
    end: bytes
    around: int
    """Bytes of both."""
    size: int
    """Bytes of other texts in it."""
    kept_end: bytes | None
    """What is passed on instead of `end`; None: all is passed on as it is."""

    def text_in(self, event: bytes) -> bytes | None:
        """Returns the text of *event*, one or no event; None if it has to be read."""
        if not event.startswith(self.start) or not event.endswith(self.end):
            return None
        text = event[len(self.start) : -len(self.end)]
        if len(text) + self.around != len(event) or not _is_plain(text):
            return None
        return text if text.isascii() or _is_utf_8(text) else None


def sample_of(event: bytes, size: int, kept: bytes) -> Sample | None:
    """Returns *event* as a sample: one of which *size* bytes are text, passed on as *kept*.

    None if more is to be read of others than how much text they have.
    """
    match = _text(event)
    if match is None:
        return None
    start, end = match.span(1)
    data = data_of(event[:start] + event[end:])
    piece = None if data is None else read_piece(data)
    if data is None or piece is None or piece.is_last or told(data, piece) is not None:
        return None
    others, is_made = piece.measure()
    if is_made or others + end - start != size or not kept.startswith(event[:end]):
        return None
    kept_end = None if kept == event else kept[end:]
    return Sample(event[:start], event[end:], len(event) - end + start, others, kept_end)


def _is_utf_8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
