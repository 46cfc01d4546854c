"""An answer that comes as a stream of events: passed on as it comes, and read meanwhile."""

from __future__ import annotations

from typing import Final

from gateway.metering.ends import Bounds, usage_at_end
from gateway.metering.events import data_of, end_of_event
from gateway.metering.members import read_json
from gateway.metering.pieces import DONE, Piece, read_piece, told, without_null_usage
from gateway.metering.plain import plain_counts_of_stream
from gateway.metering.reader import AnswerReader
from gateway.metering.samples import Sample, sample_of
from keyauthority.pricing.meter import Meter

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NO_CHOICES: Final = b'"choices":[]'
_END: Final = b"data: [DONE]\n\n"
_LAST: Final = b"}\n\n" + _END


class EventReader(AnswerReader):
    """Reads a stream into *meter*; takes out what asking for usage brought, if *takes_usage_out*."""

    ended = False
    text_bytes = 0
    _is_made = False
    _is_first = True
    _rest_size = 0
    _is_too_large = False
    # Whether the last event ended in a carriage return to which a line feed may still belong, and
    # whether that event was taken out.
    _open_return = False
    _taken_out = False
    # What most events are like.
    _sample: Sample | None = None
    # Whether anything of usage or pictures was told.
    _has_told = False
    # The usage that one event alone told, and the data of that: the meter reads it when it is asked for.
    _plain_counts: dict[str, int] | None = None
    _unread = b""

    def __init__(self, meter: Meter, bounds: Bounds, *, takes_usage_out: bool) -> None:
        super().__init__(meter)
        self._largest, self._end, self._looks = bounds.event, bounds.end, bounds.looks
        self._takes_usage_out = takes_usage_out
        # An event whose end has not come, in pieces; of one that is too large its last pieces, which were
        # passed on.
        self._rest: list[bytes] = []

    @property
    def meter(self) -> Meter:
        """What the answer told so far."""
        if self._plain_counts is not None:
            self._plain_counts = None
            self._meter.read(read_json(self._unread))
        return self._meter

    @property
    def plain_counts(self) -> dict[str, int] | None:
        """The tokens of the whole answer by class, if one event tells them in the plain way, and no other."""
        return self._plain_counts

    @property
    def images(self) -> int:
        """How many pictures it brought."""
        return self._meter.images

    @property
    def usage_due(self) -> bool:
        """Whether the answer is made but for its usage, which is yet to come."""
        if self.ended or not self._is_made:
            return False
        return self._plain_counts is None and not self._meter.final

    def feed(self, chunk: bytes) -> bytes:
        """Returns what to pass on now that *chunk* has come: itself, if nothing is taken out of it."""
        if self._rest or self._open_return:
            return self._feed(chunk) if chunk else chunk
        sample = self._sample
        if sample is not None and (read := sample.read(chunk)) is not None:
            self.text_bytes += read[0]
            return read[1]
        # One event and the end: what is before that has neither, so there is no second round.
        if 0 < chunk.find(_LAST) == len(chunk) - len(_LAST) and b"\r" not in chunk:
            return self._read_last(chunk)
        # Most others are one event.
        if 0 <= chunk.find(b"\n\n") == len(chunk) - 2 <= self._largest and b"\r" not in chunk:
            kept_event = self._read_event(chunk)
            return kept_event if self._takes_usage_out else chunk
        return self._feed(chunk) if chunk else chunk

    def _read_last(self, chunk: bytes) -> bytes:
        # The last events of most streams, which come together.
        before = chunk[: -len(_END)]
        passed = self.feed(before)
        self.ended = True
        return chunk if passed is before else passed + _END

    def _read_by_sample(self, chunk: bytes) -> bytes | None:
        # What is passed on of *chunk*, if its events are as those before.
        read = None if self._sample is None else self._sample.read(chunk)
        if read is None:
            return None
        size, passed = read
        self.text_bytes += size
        return passed

    def _read_event(self, event: bytes) -> bytes:
        # Returns what is passed on of it. It may be a sample of others.
        before = self.text_bytes
        kept = self._read(event)
        size = self.text_bytes - before
        if size and self._looks and b"\r" not in event:
            self._looks -= 1
            sample = sample_of(event, size, kept if self._takes_usage_out else event)
            self._sample = sample or self._sample
        return kept

    def _feed(self, chunk: bytes) -> bytes:
        # A blank line begins with the last byte before the chunk at the earliest.
        if self._rest and not end_of_event(self._rest[-1][-1:] + chunk, 0):
            return self._lengthen(chunk)
        before = self._rest_size
        text = b"".join([*self._rest, chunk]) if before else chunk
        start = self._close_return(text)
        kept = [text[:start]] if start and not self._taken_out else []
        search = max(before - 1, start)
        while end := end_of_event(text, search):
            kept.append(self._end_event(text[start:end]))
            start = search = end
        self._open_return = start == len(text) and text.endswith(b"\r")
        if start < len(text):
            kept.append(self._lengthen(text[start:]))
        if not self._takes_usage_out:
            return chunk
        passed = kept[0] if len(kept) == 1 else b"".join(kept)
        return chunk if passed == chunk else passed

    def _lengthen(self, piece: bytes) -> bytes:
        # Takes a piece of an event whose end has not come, and returns what of the event is passed on.
        self._rest.append(piece)
        self._rest_size += len(piece)
        if self._is_too_large:
            if self._rest_size > 2 * self._end:
                self._set_rest(b"".join(self._rest)[-self._end :])
            return piece
        if self._rest_size <= self._largest:
            return b"" if self._takes_usage_out else piece
        self._is_too_large = True
        text = b"".join(self._rest)
        self._set_rest(text[-self._end :])
        return text if self._takes_usage_out else piece

    def _set_rest(self, rest: bytes) -> None:
        self._rest, self._rest_size = [rest] if rest else [], len(rest)

    def finish(self) -> bytes:
        """Returns what is left to pass on at the end of the stream: an event without its blank line."""
        rest = b"".join(self._rest)
        self._set_rest(b"")
        if not rest:
            return b""
        if self._is_too_large:
            self._read_end(rest)
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
            self._read_end(event)
            kept = event[self._rest_size :]
        elif len(event) > self._largest:
            self._read_end(event[-self._end :])
            kept = event
        else:
            passed = self._read_by_sample(event)
            kept = self._read_event(event) if passed is None else passed
        if self._rest:
            self._set_rest(b"")
        self._taken_out = not kept
        return kept

    def _read_end(self, event: bytes) -> None:
        # Of an answer, or of an event that holds it: there, too, the usage stands last, if it is told.
        text = event.rstrip()
        usage = usage_at_end(text) or usage_at_end(text, b'{"response":{')
        if usage is not None:
            self._tell({"usage": usage})
            self._is_made = True

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
        if _NO_CHOICES in data and self._is_plain_usage(data):
            return b"" if self._takes_usage_out else event
        is_done = data.strip() == DONE
        piece = None if is_done else read_piece(data)
        self.ended = self.ended or is_done or (piece is not None and piece.is_last)
        if piece is None:
            return event
        size, is_made = piece.measure()
        self.text_bytes += size
        self._is_made = self._is_made or is_made
        value = told(data, piece)
        if value is not None:
            self._tell(value)
        return self._kept(event, piece) if self._takes_usage_out else event

    @staticmethod
    def _kept(event: bytes, piece: Piece) -> bytes:
        if piece.is_usage_alone:
            return b""
        return without_null_usage(event) if piece.usage is None else event

    def _is_plain_usage(self, data: bytes) -> bool:
        # As at the end of most streams, once in each.
        counts = None if self._has_told else plain_counts_of_stream(data)
        if counts is None:
            return False
        self._has_told = True
        self._plain_counts, self._unread = counts, data
        return True

    def _tell(self, value: object) -> None:
        self._has_told = True
        self.meter.read(value)
