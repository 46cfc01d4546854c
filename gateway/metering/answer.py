"""Reads the upstream's answer while it is passed on: its usage, its size, and whether it is whole."""

from __future__ import annotations

from typing import Final

from gateway.metering.bodies import JsonReader
from gateway.metering.streams import EventReader
from keyauthority.pricing.meter import Meter

_EVENT_STREAM: Final = "text/event-stream"
_BYTES_OF_A_TOKEN: Final = 3
_WHITE: Final = b" \t\r\n"


class AnswerReader:
    """Reads one answer, fed with its chunks as they come.

    Read are event streams and JSON objects in no content coding. The gateway asks the upstream for none
    (`Accept-Encoding: identity`); what is coded nevertheless, audio and pictures are passed on unread.
    """

    def __init__(
        self, content_type: str, content_encoding: str = "", *, takes_usage_out: bool = False
    ) -> None:
        self.meter = Meter()
        """What the answer told so far. A JSON answer tells it at its end."""
        kind = content_type.partition(";")[0].strip().lower()
        self._may_be_json = False
        self._reader: EventReader | JsonReader | None = None
        if content_encoding.strip().lower() not in ("", "identity"):
            return
        if kind == _EVENT_STREAM:
            self._reader = EventReader(self.meter, takes_usage_out=takes_usage_out)
        elif kind.endswith(("/json", "+json")):
            self._reader = JsonReader(self.meter)
        else:
            self._may_be_json = True

    def feed(self, chunk: bytes) -> bytes:
        """Returns what to pass on now that *chunk* has come; empty if that has to wait.

        It is *chunk* itself, the same object, unless usage is taken out and a part of it waits for the
        end of its event or has something taken out of it.
        """
        if self._may_be_json and (text := chunk.lstrip(_WHITE)):
            # Some answer JSON under another type.
            self._may_be_json = False
            self._reader = JsonReader(self.meter) if text.startswith(b"{") else None
        return self._reader.feed(chunk) if self._reader is not None else chunk

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
    def relayed(self) -> int:
        """About how many tokens of output were passed on so far.

        A token is reckoned as three bytes: of the text in the deltas of a stream, or of all of a JSON
        answer, since its text has the larger part in it; of one that brings pictures, none.
        """
        reader = self._reader
        if isinstance(reader, EventReader):
            return -(-reader.text_bytes // _BYTES_OF_A_TOKEN)
        if reader is None or reader.pictures or self.meter.images:
            return 0
        return -(-reader.size // _BYTES_OF_A_TOKEN)

    @property
    def images(self) -> int:
        """How many pictures it brought."""
        pictures = self._reader.pictures if isinstance(self._reader, JsonReader) else 0
        return max(self.meter.images, pictures)
