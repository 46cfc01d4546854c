"""Events that differ from an earlier one in their text alone, as nearly all of a stream do."""

from __future__ import annotations

import re
from typing import Final

from gateway.metering.events import data_of
from gateway.metering.pieces import read_piece, told

_LONGEST: Final = 200
"""Bytes of a text: a longer one may be a file."""

_PLAIN: Final = bytes(code for code in range(ord(" "), 127) if code not in b'"\\')
"""What stands for itself in a string in JSON, of ASCII."""

_is_short_and_plain = re.compile(rb"[ !#-\[\]-~]{1,%d}+" % _LONGEST).fullmatch
_text = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|thinking|delta)":"([^"\\\x00-\x1f]+)"'
).search


class Sample:
    """An event, by which others are known that have the same around their text.

    JSON is read from left to right: after the same beginning, up to within a string, another text of
    plain characters is the value of the same string, and the rest means what it meant.

    Args:
        start: What stands before the text.
        end: What stands after it.
        size: Bytes of other texts in it.
        kept_end: What is passed on instead of *end*; None: all is passed on as it is.
    """

    __slots__ = (
        "_between", "_end", "_from", "_kept_between", "_kept_end", "_longest", "_size", "_start", "_to",
    )  # fmt: skip

    def __init__(self, start: bytes, end: bytes, size: int, kept_end: bytes | None) -> None:
        self._start = start
        self._end = end
        self._size = size
        self._kept_end = kept_end
        self._between = end + start
        self._from, self._to = len(start), -len(end)
        self._kept_between = end if kept_end is None else kept_end + start
        # Longer ones are several.
        self._longest = len(self._between)

    def read(self, chunk: bytes) -> tuple[int, bytes] | None:
        """Returns the bytes of text in *chunk*, and what of it is passed on; None if it has to be read.

        It is read at once if it is one such event or several, and nothing else.
        """
        if not (chunk.startswith(self._start) and chunk.endswith(self._end)):
            return None
        start, end = self._from, len(chunk) + self._to
        # Most are one, in ASCII.
        if end - start > self._longest or not _is_short_and_plain(chunk, start, end):
            return self._read_several(chunk)
        size = end - start + self._size
        return size, chunk if self._kept_end is None else chunk[:end] + self._kept_end

    def _read_several(self, chunk: bytes) -> tuple[int, bytes] | None:
        if len(chunk) < self._longest:
            return None
        texts = chunk[self._from : self._to].split(self._between)
        written = b"".join(texts)
        # Most texts are in ASCII.
        rest = written.translate(None, _PLAIN)
        if rest and not _is_plain(rest, b" ".join(texts)):
            return None
        if len(written) > _LONGEST and max(map(len, texts)) > _LONGEST:
            return None
        size = len(written) + len(texts) * self._size
        if self._kept_end is None:
            return size, chunk
        return size, self._start + self._kept_between.join(texts) + self._kept_end


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
    return Sample(event[:start], event[end:], others, None if kept == event else kept[end:])


def _is_plain(rest: bytes, texts: bytes) -> bool:
    # Whether *texts*, in which *rest* is more than plain ASCII, are plain as well.
    if min(rest) < _PLAIN[-1]:
        return False
    try:
        texts.decode()
    except UnicodeDecodeError:
        return False
    return True
