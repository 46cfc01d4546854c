"""An answer that is one JSON object: passed on as it comes, and read at its end."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.metering.members import JSON_ERRORS, read_json
from keyauthority.pricing.meter import Meter

LARGEST_WHOLE: Final = 2**20
"""Bytes. Of a larger answer only the end is kept: there stands the usage of embeddings and images."""

_TAIL: Final = 2**16
_PICTURE: Final = b'"b64_json"'
_USAGE: Final = b'"usage"'


class _Item(msgspec.Struct, gc=False):
    b64_json: Any = None
    url: Any = None


class _Answer(msgspec.Struct, gc=False):
    # Of the numbers of an embedding or the text of a choice, nothing is made.
    usage: Any = None
    data: list[_Item] | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


class JsonReader:
    """Reads a JSON answer into *meter*, once it is whole."""

    def __init__(self, meter: Meter) -> None:
        self.ended = False
        """Whether the answer was a whole JSON object."""
        self.size = 0
        """Bytes passed on so far."""
        self.pictures = 0
        """How many pictures it brought so far, if it is too large to be kept whole."""
        self._meter = meter
        self._kept: list[bytes] = []
        self._kept_size = 0

    def feed(self, chunk: bytes) -> bytes:
        """Returns *chunk*, to be passed on."""
        self.size += len(chunk)
        self._kept.append(chunk)
        self._kept_size += len(chunk)
        if self.size > LARGEST_WHOLE and self._kept_size > 2 * _TAIL:
            self._shorten()
        return chunk

    def finish(self) -> None:
        """Reads what was kept."""
        text = b"".join(self._kept)
        self._kept.clear()
        if self.size <= LARGEST_WHOLE:
            self._read_whole(text)
        else:
            self.pictures += text.count(_PICTURE)
            self._read_end(text)

    def _shorten(self) -> None:
        # Counts the pictures in what is dropped; a name at the cut is counted in what is kept.
        text = b"".join(self._kept)
        tail = text[-_TAIL:]
        self.pictures += text.count(_PICTURE) - tail.count(_PICTURE)
        self._kept, self._kept_size = [tail], len(tail)

    def _read_whole(self, text: bytes) -> None:
        try:
            answer = _decode_answer(text)
        except JSON_ERRORS:
            self._read_in_full(text)
            return
        self.ended = True
        if not answer.data and self._meter.read_plain(answer.usage):
            return
        pictures = [{"b64_json": item.b64_json, "url": item.url} for item in answer.data or ()]
        self._meter.read({"usage": answer.usage, "data": pictures})

    def _read_in_full(self, text: bytes) -> None:
        # An answer of an unknown shape, or one that broke off.
        try:
            self._meter.read(read_json(text))
            self.ended = True
        except ValueError:
            self.pictures = text.count(_PICTURE)

    def _read_end(self, text: bytes) -> None:
        # What follows a member of the outermost object, and only that, closes one brace.
        answer: dict[str, Any] = {}
        try:
            answer = read_json(b"{" + text[text.rfind(_USAGE) :])
            self.ended = True
        except ValueError:
            self.ended = text.rstrip().endswith(b"}")
        pictures = [{"b64_json": True}] * self.pictures
        self._meter.read({"usage": answer.get("usage"), "data": pictures})
