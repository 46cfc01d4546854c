"""Which reader an answer has, by its type or its first bytes."""

from __future__ import annotations

from typing import Final

from gateway.metering.bodies import JsonReader
from gateway.metering.endpoints import Endpoint
from gateway.metering.ends import BOUNDS, Bounds
from gateway.metering.reader import AnswerReader, is_coded
from gateway.metering.streams import EventReader
from keyauthority.pricing.meter import Meter

_EVENT_STREAM: Final = "text/event-stream"
_EVENTS: Final = (b"data:", b"event:")
_WHITE: Final = b" \t\r\n"


def answer_reader(
    content_type: str,
    content_encoding: str = "",
    *,
    place: Endpoint = Endpoint.OTHER,
    takes_usage_out: bool = False,
    bounds: Bounds = BOUNDS,
) -> AnswerReader:
    """Returns what reads an answer to a request at *place*.

    Read are event streams and JSON objects in no content coding. The gateway asks the upstream for none
    (`Accept-Encoding: identity`); what is coded nevertheless, audio and pictures are passed on unread.
    """
    kind = content_type.partition(";")[0].strip().lower()
    meter = Meter()
    if is_coded(content_encoding):
        return AnswerReader(meter)
    if kind == _EVENT_STREAM:
        return EventReader(meter, bounds, takes_usage_out=takes_usage_out)
    if kind.endswith(("/json", "+json")):
        return JsonReader(meter, bounds, place)
    reader = _TextReader(meter) if kind.startswith("text/") else AnswerReader(meter)
    return _UnknownReader(reader, bounds, place, takes_usage_out=takes_usage_out)


class _TextReader(AnswerReader):
    text_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        self.text_bytes += len(chunk)
        return chunk


class _UnknownReader(AnswerReader):
    # Some answer JSON, or events, under another type.

    def __init__(
        self, reader: AnswerReader, bounds: Bounds, place: Endpoint, *, takes_usage_out: bool
    ) -> None:
        super().__init__(reader.meter)
        self._is_known = False
        self._reader = reader
        self._bounds = bounds
        self._place = place
        self._takes_usage_out = takes_usage_out

    def feed(self, chunk: bytes) -> bytes:
        if not self._is_known and (text := chunk.lstrip(_WHITE)):
            self._is_known = True
            self._reader = self._reader_of(text)
        return self._reader.feed(chunk)

    def _reader_of(self, text: bytes) -> AnswerReader:
        if text.startswith(b"{"):
            return JsonReader(self.meter, self._bounds, self._place)
        if text.startswith(_EVENTS):
            return EventReader(self.meter, self._bounds, takes_usage_out=self._takes_usage_out)
        return self._reader

    def finish(self) -> bytes:
        return self._reader.finish()

    @property
    def meter(self) -> Meter:
        return self._reader.meter

    @property
    def plain_counts(self) -> dict[str, int] | None:
        return self._reader.plain_counts

    @property
    def ended(self) -> bool:
        return self._reader.ended

    @property
    def usage_due(self) -> bool:
        return self._reader.usage_due

    @property
    def text_bytes(self) -> int:
        return self._reader.text_bytes

    @property
    def images(self) -> int:
        return self._reader.images
