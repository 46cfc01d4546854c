"""One request's bill: what is held for it, what its answer tells, and its one end."""

from __future__ import annotations

import sys
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.bill_metrics import BillCounters
from gateway.billing.cost import Cost, Told, cost_of, exact_cost, plain_cost
from gateway.metering.answer import answer_reader
from gateway.metering.endpoints import Endpoint
from gateway.metering.going_by import FIRST_OUTPUT, Priced
from gateway.metering.reader import BYTES_A_TOKEN, AnswerReader, is_coded
from gateway.request import RequestBody
from keyauthority.client import AllHeld, OutOfCredits, Spending, SpendingUnavailable
from keyauthority.edge.envelope import Refusal
from keyauthority.pricing import amounts

COST: Final = istr("x-opentoken-cost")

_JSON: Final = "application/json"
_IMAGES: Final = Endpoint.IMAGES
_LARGEST_AWAITED: Final = 32 * 1024
"""Bytes of an answer that the connection to the upstream takes in, whoever reads them."""

# Bytes of an answer that is compressed against our wish, and of audio, to a token.
_CODED: Final = 3
_AUDIO: Final = 640

_SERVED: Final = frozenset((*range(200, 300), 304))


class CutError(Exception):
    """An answer that is under way may not go on: there are no credits for the rest of it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class Bill:
    """The bill of one request, from before it is sent to its end.

    `close` ends it: the hold is given back if nothing was sent or the upstream refused, and charged
    otherwise.

    Args:
        priced: What it asks for, and its price.
        body: What is sent to the upstream; None for no body.
        strips_usage: Whether the upstream was asked for a usage that the client did not ask for.
        counters: Where its end is counted.
        exhausted: What clients without credits are told.
    """

    # Most requests change few of these.
    spending: Spending | None = None
    """What is held; None if nothing is, since the request is only counted."""
    is_short = False
    """Whether the answer has got beyond what is held for it."""

    # Output tokens that the hold covers, and the bytes that these may have.
    _covered = sys.maxsize
    _most = sys.maxsize
    # Bytes of output that were passed on under the hold.
    _paid = 0
    _is_cut = False
    _sent = _is_open = False
    _closed = False
    # Of the upstream's answer: its status, 0 before it; its type and coding; and whether it ended.
    _status = 0
    _kind = ""
    _coding = ""
    _whole = False
    _reader: AnswerReader | None = None
    # How many of its bytes are taken for a token.
    _token_bytes = BYTES_A_TOKEN
    # Bytes that came of one that can't be read; None: it is read.
    _unread: int | None = None

    def __init__(
        self,
        priced: Priced,
        body: bytes | RequestBody | None,
        *,
        strips_usage: bool,
        counters: BillCounters,
        exhausted: Refusal,
    ) -> None:
        self.body = body
        self._priced = priced
        self._strips_usage = strips_usage
        self._counters = counters
        self._exhausted = exhausted

    def cover(self, spending: Spending) -> None:
        """Takes the hold, which may be less than what was to be held."""
        self.spending = spending
        self._covered = self._priced.covered(spending.amount)

    def note_sending(self) -> None:
        """Notes that the first byte is about to be sent to the upstream."""
        self._sent = True

    def note_answer(self, status: int, headers: CIMultiDictProxy[str]) -> None:
        """Notes the head of the upstream's answer."""
        self._status = status
        self._kind = headers.get(hdrs.CONTENT_TYPE, "")
        self._coding = headers.get(hdrs.CONTENT_ENCODING, "")

    def end_opened(self, status: int, headers: CIMultiDict[str]) -> None:
        """Ends the bill of a websocket that the upstream has opened, of which nothing is read."""
        self._status, self._is_open = status, True
        self._tell(self.close(), headers)

    def waits_for_whole(self, headers: CIMultiDictProxy[str]) -> bool:
        """Returns whether the answer is passed on once it is whole, with its cost in its head."""
        if not self._kind.startswith(_JSON):
            return False
        length = headers.get(hdrs.CONTENT_LENGTH, "")
        return length.isdecimal() and int(length) <= _LARGEST_AWAITED

    def read_whole(self, body: bytes, headers: CIMultiDict[str]) -> bytes:
        """Returns what of a whole answer goes on, and writes its cost into its *headers*."""
        passed, cost = body, self._plain_cost(body)
        if cost is not None:
            self._closed = self._whole = True
            self._charge(cost)
        else:
            passed = self.read(body) + self.read_end()
            if len(passed) != len(body):
                headers.popall(hdrs.CONTENT_LENGTH, None)
            cost = self.close()
        self._tell(cost, headers)
        return passed

    def _tell(self, cost: Cost | None, headers: CIMultiDict[str]) -> None:
        if cost is not None and self.spending is not None:
            headers[COST] = amounts.write(cost.nano_credits)

    def _plain_cost(self, body: bytes) -> Cost | None:
        # Most answers need no reader.
        if (self._coding and is_coded(self._coding)) or not self._kind.startswith(_JSON):
            return None
        priced = self._priced
        return None if priced.asked.place is _IMAGES else plain_cost(priced.price.rates, body)

    def begin_stream(self, headers: CIMultiDict[str]) -> None:
        """Prepares the *headers* of an answer that goes on while it arrives."""
        if self._strips_usage:
            headers.popall(hdrs.CONTENT_LENGTH, None)

    def read(self, chunk: bytes) -> bytes:
        """Returns what goes on to the client, now that *chunk* of the answer has arrived."""
        reader = self._reader or self._begin_reading()
        passed = reader.feed(chunk)
        if self._unread is not None:
            self._unread += len(chunk)
        size = reader.text_bytes if self._unread is None else self._unread
        self.is_short = size > self._most
        if not self.is_short:
            self._paid = size
        return passed

    def _begin_reading(self) -> AnswerReader:
        if is_coded(self._coding):
            self._token_bytes, self._unread = _CODED, 0
        elif self._kind.startswith("audio/"):
            self._token_bytes, self._unread = _AUDIO, 0
        self._most = self._covered * self._token_bytes
        self._reader = answer_reader(
            self._kind,
            self._coding,
            place=self._priced.asked.place,
            takes_usage_out=self._strips_usage,
        )
        return self._reader

    def read_end(self) -> bytes:
        """Returns what goes on at the orderly end of the answer."""
        self._whole = True
        return b"" if self._reader is None else self._reader.finish()

    @property
    def usage_due(self) -> bool:
        """Whether the answer is made, and its usage is yet to come: it is read on if its client leaves."""
        if self._whole or not self._status or not self._was_served():
            return False
        return (self._reader or self._begin_reading()).usage_due

    def try_extend(self) -> bool:
        """Extends the hold if that needs no call; returns whether it did. Raises `CutError`."""
        spending, tokens = self.spending, self._missing()
        try:
            extended = spending is None or spending.try_extend(self._priced.extension(tokens))
        except SpendingUnavailable:
            raise self._cut(Refusal.BILLING_UNAVAILABLE) from None
        if extended:
            self._cover_more(tokens)
        return extended

    async def extend(self) -> None:
        """Extends the hold, by less if less is left; raises `CutError` if that is too little."""
        spending, tokens = self.spending, self._missing()
        if spending is None:
            return
        held, wanted = spending.amount, self._priced.extension(tokens)
        try:
            await spending.extend(wanted)
        except (OutOfCredits, AllHeld):
            raise self._cut(self._exhausted) from None
        except SpendingUnavailable:
            raise self._cut(Refusal.BILLING_UNAVAILABLE) from None
        got = spending.amount - held
        self._cover_more(tokens if got >= wanted else tokens * got // wanted)
        if self.is_short:
            raise self._cut(self._exhausted)

    def _cover_more(self, tokens: int) -> None:
        self._covered += tokens
        self._most = self._covered * self._token_bytes
        size = self._size()
        self.is_short = size > self._most
        if not self.is_short:
            self._paid = size

    def _cut(self, refusal: Refusal) -> CutError:
        # What came last does not go on, and is not charged.
        self._is_cut = True
        return CutError(refusal)

    def _missing(self) -> int:
        missing = max(0, self._tokens(self._size()) - self._covered)
        return missing + FIRST_OUTPUT * self._priced.asked.choices

    def _size(self) -> int:
        # Bytes of output that were passed on.
        if self._unread is not None:
            return self._unread
        return 0 if self._reader is None else self._reader.text_bytes

    def _tokens(self, size: int) -> int:
        # About how many *size* bytes of output are.
        return -(-size // self._token_bytes)

    def close(self) -> Cost | None:
        """Ends the bill, once; returns what the request cost, None if it cost nothing."""
        if self._closed:
            return None
        self._closed = True
        cost = self._cost()
        if cost is not None:
            self._charge(cost)
        else:
            self._counters.voided += 1
            if self.spending is not None:
                self.spending.void()
        return cost

    def _charge(self, cost: Cost) -> None:
        self._counters.charge(cost.nano_credits, estimated=cost.estimated)
        if self.spending is not None:
            self.spending.charge(
                cost.nano_credits, counts=cost.counts, status=self._status, estimated=cost.estimated
            )

    def _cost(self) -> Cost | None:
        reader = self._reader
        if reader is None:
            return cost_of(self._priced, Told(whole=self._whole)) if self._was_served() else None
        if not self._whole:
            # What it brought by now is read; nothing of it goes on.
            reader.finish()
        rates, counts = self._priced.price.rates, reader.plain_counts
        if counts is not None and rates.input is not None:
            # As of most streams.
            return Cost(rates.cost_of(counts), counts)
        usage, final = reader.meter.usage, reader.meter.final
        if usage is None and not self._was_served():
            return None
        exact = exact_cost(rates, usage) if usage is not None and final else None
        if exact is not None:
            # To measure the text of an answer that tells its tokens would take time for nothing.
            return exact
        told = Told(
            usage,
            final=final,
            images=reader.images,
            output_tokens=self._tokens(self._paid if self._is_cut else self._size()),
            whole=self._whole or reader.ended,
        )
        return cost_of(self._priced, told)

    def _was_served(self) -> bool:
        if self._status:
            return self._is_open or self._status in _SERVED
        if isinstance(self.body, RequestBody):
            # Nobody can answer a request that did not arrive whole.
            return self._sent and self.body.complete
        return self._sent
