"""Reads the upstream's answer while it is passed on: its usage, its size, and whether it is whole."""

from __future__ import annotations

from typing import Final

from gateway.metering.bodies import JsonReader
from gateway.metering.endpoints import Endpoint
from gateway.metering.ends import BOUNDS, Bounds
from gateway.metering.streams import EventReader
from keyauthority.pricing.meter import Meter

_EVENT_STREAM: Final = "text/event-stream"
_BYTES_OF_A_TOKEN: Final = 3
_EVENTS: Final = (b"data:", b"event:")
_WHITE: Final = b" \t\r\n"


class AnswerReader:
    """Reads one answer to a request at *place*, fed with its chunks as they come.

    Read are event streams and JSON objects in no content coding. The gateway asks the upstream for none
    (`Accept-Encoding: identity`); what is coded nevertheless, audio and pictures are passed on unread.
    """

    def __init__(
        self,
        content_type: str,
        content_encoding: str = "",
        *,
        place: Endpoint = Endpoint.OTHER,
        takes_usage_out: bool = False,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self.meter = Meter()
        """What the answer told so far. A JSON answer tells it at its end."""
        kind = content_type.partition(";")[0].strip().lower()
        self._place = place
        self._bounds = bounds
        self._takes_usage_out = takes_usage_out
        self._is_unknown = False
        self._reader: EventReader | JsonReader | None = None
        # Bytes of text that is neither.
        self._is_text = False
        self._text_bytes = 0
        if content_encoding.strip().lower() not in ("", "identity"):
            return
        if kind == _EVENT_STREAM:
            self._reader = EventReader(self.meter, bounds, takes_usage_out=takes_usage_out)
        elif kind.endswith(("/json", "+json")):
            self._reader = JsonReader(self.meter, place, bounds)
        else:
            self._is_unknown = True
            self._is_text = kind.startswith("text/")

    def feed(self, chunk: bytes) -> bytes:
        """Returns what to pass on now that *chunk* has come; empty if that has to wait.

        It is *chunk* itself, the same object, unless usage is taken out and a part of it waits for the
        end of its event or has something taken out of it.
        """
        if self._reader is None and self._is_unknown and (text := chunk.lstrip(_WHITE)):
            self._is_unknown = False
            self._reader = self._reader_of(text)
        if self._reader is not None:
            return self._reader.feed(chunk)
        if self._is_text:
            self._text_bytes += len(chunk)
        return chunk

    def _reader_of(self, text: bytes) -> EventReader | JsonReader | None:
        # Some answer JSON, or events, under another type.
        if text.startswith(b"{"):
            return JsonReader(self.meter, self._place, self._bounds)
        if text.startswith(_EVENTS):
            return EventReader(self.meter, self._bounds, takes_usage_out=self._takes_usage_out)
        return None

    def finish(self) -> bytes:
        """Takes the end of the answer, whole or broken off, and returns what is left to pass on.

        Nothing of that may be passed on if the answer broke off.
        """
        if isinstance(self._reader, EventReader):
            return self._reader.finish()
        if self._reader is not None:
            self._reader.finish()
        return b""

    @property
    def ended(self) -> bool:
        """Whether the answer is whole by its own word: `[DONE]`, the last event, or its last brace."""
        return self._reader is not None and self._reader.ended

    @property
    def usage_due(self) -> bool:
        """Whether the answer is made, as far as it tells, and the usage of all of it is yet to come.

        So a client that leaves now has got what it came for, and would not be charged for it.
        """
        reader = self._reader
        return reader is not None and reader.usage_due and not self.meter.final

    @property
    def relayed(self) -> int:
        """About how many tokens of output were passed on so far.

        A token is reckoned as three bytes of text: of that in the deltas of a stream; of that in a JSON
        answer once it is finished, since by then it was made in any case; of all of an answer in text.
        """
        size = self._text_bytes if self._reader is None else self._reader.text_bytes
        return -(-size // _BYTES_OF_A_TOKEN)

    @property
    def images(self) -> int:
        """How many pictures it brought."""
        pictures = self._reader.pictures if isinstance(self._reader, JsonReader) else 0
        return max(self.meter.images, pictures)
