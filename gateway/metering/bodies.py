"""An answer that is one JSON object: passed on as it comes, and read at its end."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.metering.endpoints import Endpoint
from gateway.metering.ends import Bounds, usage_at_end, usage_at_start
from gateway.metering.members import JSON_ERRORS, read_json
from gateway.metering.reader import AnswerReader
from gateway.metering.written import Written
from keyauthority.pricing.meter import IMAGE_CALL, Meter

_PICTURE: Final = b'"b64_json"'
_IMAGE_CALL: Final = b'"%b"' % IMAGE_CALL.encode()


class _Item(msgspec.Struct, gc=False):
    b64_json: Any = None
    url: Any = None


class _Output(msgspec.Struct, gc=False):
    type: Any = None


class _Answer(msgspec.Struct, gc=False):
    # Of the numbers of an embedding or the text of a choice, nothing is made.
    usage: Any = None
    meta: Any = None
    data: list[_Item] | None = None
    output: list[_Output] | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


class JsonReader(AnswerReader):
    """Reads a JSON answer into *meter*, once it is whole. Only those of images bring pictures."""

    ended = False

    def __init__(self, meter: Meter, bounds: Bounds, place: Endpoint) -> None:
        super().__init__(meter)
        self.size = 0
        """Bytes passed on so far."""
        # How many pictures it brought, if it is too large to be kept whole, or broke off.
        self._pictures = 0
        self._largest, self._end = bounds.whole, bounds.end
        self._makes_images = place is Endpoint.IMAGES
        self._mark = _PICTURE if self._makes_images else _IMAGE_CALL
        self._written = Written()
        # The text, whose measure is seldom asked for.
        self._unmeasured = b""
        self._head = b""
        self._kept: list[bytes] = []
        self._kept_size = 0

    @property
    def usage_due(self) -> bool:
        """Whether the usage is yet to come: it is read at the end."""
        return not self.ended and not self.meter.final

    @property
    def text_bytes(self) -> int:
        """Of the answer's text, once it was read; of an answer with pictures, none."""
        if self._makes_images:
            return 0
        if self._unmeasured:
            self._written.read(self._unmeasured)
            self._unmeasured = b""
        return self._written.size

    @property
    def images(self) -> int:
        """How many pictures it brought."""
        return max(self.meter.images, self._pictures)

    def feed(self, chunk: bytes) -> bytes:
        """Returns *chunk*, to be passed on."""
        self.size += len(chunk)
        self._kept.append(chunk)
        self._kept_size += len(chunk)
        if self.size > self._largest and self._kept_size > 2 * self._end:
            self._shorten()
        return chunk

    def finish(self) -> bytes:
        """Reads what was kept; of that, nothing is left to pass on."""
        text = b"".join(self._kept)
        self._kept.clear()
        if self.size <= self._largest:
            self._read_whole(text)
        else:
            self._pictures += text.count(self._mark)
            self._read_ends(self._head or text[: self._end], text)
        self._unmeasured = text
        return b""

    def _shorten(self) -> None:
        # Counts the pictures in what is dropped; a name at the cut is counted in what is kept.
        text = b"".join(self._kept)
        tail = text[-self._end :]
        self._head = self._head or text[: self._end]
        self._pictures += text.count(self._mark) - tail.count(self._mark)
        self._written.read(text[: -self._end])
        self._kept, self._kept_size = [tail], len(tail)

    def _read_whole(self, text: bytes) -> None:
        try:
            answer = _decode_answer(text)
        except JSON_ERRORS:
            self._read_in_full(text)
            return
        self.ended = True
        told = {"usage": answer.usage, "meta": answer.meta}
        if answer.data and self._makes_images:
            told["data"] = [{"b64_json": item.b64_json, "url": item.url} for item in answer.data]
        if answer.output:
            told["output"] = [{"type": item.type} for item in answer.output]
        self.meter.read(told)

    def _read_in_full(self, text: bytes) -> None:
        # An answer of an unknown shape, or one that broke off.
        try:
            answer = read_json(text)
        except ValueError:
            self._pictures = text.count(self._mark)
            self._read_parts(usage_at_start(text[: self._end]))
            return
        self.ended = True
        if isinstance(answer, dict) and not self._makes_images:
            answer.pop("data", None)
        self.meter.read(answer)

    def _read_ends(self, head: bytes, tail: bytes) -> None:
        usage = usage_at_end(tail)
        self.ended = usage is not None or tail.rstrip().endswith(b"}")
        self._read_parts(usage or usage_at_start(head))

    def _read_parts(self, usage: dict[str, Any] | None) -> None:
        data = [{"b64_json": True}] * (self._pictures if self._makes_images else 0)
        output = [{"type": IMAGE_CALL}] * (0 if self._makes_images else self._pictures)
        self.meter.read({"usage": usage, "data": data, "output": output})
