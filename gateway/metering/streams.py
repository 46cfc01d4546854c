"""An answer that comes as a stream of events: passed on as it comes, and read meanwhile."""

from __future__ import annotations

from typing import Final

from gateway.metering.events import data_of, end_of_event
from gateway.metering.pieces import DONE, may_tell, read_piece, whole, without_null_usage
from keyauthority.pricing.meter import Meter

LARGEST_EVENT: Final = 8 * 2**20
"""Bytes. An event that is larger is passed on unread."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class EventReader:
    """Reads a stream into *meter*; takes out what asking for usage brought, if *takes_usage_out*."""

    def __init__(self, meter: Meter, *, takes_usage_out: bool) -> None:
        self.ended = False
        """Whether the event was seen that ends the answer."""
        self.text_bytes = 0
        """Of the answer's text passed on so far."""
        self._meter = meter
        self._takes_usage_out = takes_usage_out
        self._is_first = True
        # The beginning of an event whose end has not come. Of one that is too large only the last
        # byte, which was passed on.
        self._rest = b""
        self._is_too_large = False
        # Whether the last event ended in a carriage return to which a line feed may still belong, and
        # whether that event was taken out.
        self._open_return = False
        self._taken_out = False

    def feed(self, chunk: bytes) -> bytes:
        """Returns what to pass on now that *chunk* has come: itself, if nothing is taken out of it."""
        if self._is_one_event(chunk):
            kept_event = self._end_event(chunk)
            return kept_event if self._takes_usage_out else chunk
        return self._feed(chunk) if chunk else chunk

    def _is_one_event(self, chunk: bytes) -> bool:
        # As nearly all chunks are. Looking for it takes half the time of taking a chunk apart.
        return (
            chunk.endswith(b"\n\n")
            and chunk.count(b"\n") == len(b"\n\n")
            and not self._rest
            and not self._open_return
            and b"\r" not in chunk
        )

    def _feed(self, chunk: bytes) -> bytes:
        before = len(self._rest)
        text = self._rest + chunk if before else chunk
        start = self._close_return(text)
        kept = [text[:start]] if start and not self._taken_out else []
        search = max(before - 1, start)
        while end := end_of_event(text, search):
            kept.append(self._end_event(text[start:end]))
            start = search = end
        self._open_return = start == len(text) and text.endswith(b"\r")
        self._keep(text[start:], kept)
        if not self._takes_usage_out:
            return chunk
        passed = kept[0] if len(kept) == 1 else b"".join(kept)
        return chunk if passed == chunk else passed

    def finish(self) -> bytes:
        """Returns what is left to pass on at the end of the stream: an event without its blank line."""
        rest, self._rest = self._rest, b""
        if not rest or self._is_too_large:
            return b""
        kept = self._read(rest)
        return kept if self._takes_usage_out else b""

    def _close_return(self, text: bytes) -> int:
        # The length of what belongs to the event before.
        if self._open_return:
            self._open_return = False
            return int(text.startswith(b"\n"))
        return 0

    def _end_event(self, event: bytes) -> bytes:
        if self._is_too_large:
            self._is_too_large = False
            kept = event[len(self._rest) :]
        else:
            kept = event if len(event) > LARGEST_EVENT else self._read(event)
        self._rest = b""
        self._taken_out = not kept
        return kept

    def _keep(self, rest: bytes, kept: list[bytes]) -> None:
        if self._is_too_large:
            kept.append(rest[len(self._rest) :])
        elif len(rest) > LARGEST_EVENT:
            self._is_too_large = True
            kept.append(rest)
        self._rest = rest[-1:] if self._is_too_large else rest

    def _read(self, event: bytes) -> bytes:
        # Returns the event as it is passed on; nothing if it is taken out.
        if self._is_first:
            self._is_first = False
            if event.startswith(_BYTE_ORDER_MARK):
                kept = self._read(event.removeprefix(_BYTE_ORDER_MARK))
                return _BYTE_ORDER_MARK + kept if kept else kept
        data = data_of(event)
        if data is None:
            return event
        piece = read_piece(data)
        if piece is None:
            self.ended = self.ended or data.strip() == DONE
            return event
        self.ended = self.ended or piece.is_last
        self.text_bytes += piece.text_bytes()
        if may_tell(data):
            self._meter.read(whole(data, piece))
        if not self._takes_usage_out:
            return event
        if piece.is_usage_alone:
            return b""
        return without_null_usage(event) if piece.usage is None else event
