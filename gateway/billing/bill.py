"""One request's bill: what is held for it, what its answer tells, and its one end."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.bill_metrics import BillCounters
from gateway.billing.cost import Cost, Told, Work, cost_of, exact_cost
from gateway.envelope import Refusal
from gateway.metering.answer import AnswerReader
from gateway.metering.going_by import FIRST_OUTPUT
from gateway.request import RequestBody
from keyauthority.client import AllHeld, OutOfCredits, Spending, SpendingUnavailable
from keyauthority.pricing import amounts

COST: Final = istr("x-opentoken-cost")

_JSON: Final = "application/json"
_LARGEST_AWAITED: Final = 32 * 1024
"""Bytes of an answer that the connection to the upstream takes in, whoever reads them."""

# Bytes of an answer that is compressed against our wish, and of audio, to a token.
_CODED: Final = 3
_AUDIO: Final = 640

_SUCCESSES: Final = range(200, 300)
_NOT_MODIFIED: Final = 304


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
        work: What it has the upstream do, and its price.
        body: What is sent to the upstream; None for no body.
        strips_usage: Whether the upstream was asked for a usage that the client did not ask for.
        counters: Where its end is counted.
        exhausted: What clients without credits are told.
    """

    __slots__ = (
        "_answer",
        "_closed",
        "_counters",
        "_covered",
        "_exhausted",
        "_is_cut",
        "_paid",
        "_passed",
        "_sent",
        "_status",
        "_strips_usage",
        "_token_bytes",
        "_whole",
        "_work",
        "body",
        "spending",
    )

    def __init__(
        self,
        work: Work,
        body: bytes | RequestBody | None,
        *,
        strips_usage: bool,
        counters: BillCounters,
        exhausted: Refusal,
    ) -> None:
        self.body = body
        # What is held; None if nothing is, since the request is free or only counted.
        self.spending: Spending | None = None
        self._work = work
        self._strips_usage = strips_usage
        self._counters = counters
        self._exhausted = exhausted
        # Output tokens that the hold covers, and those that were passed on under it.
        self._covered = 0
        self._paid = 0
        self._is_cut = False
        self._sent = False
        self._closed = False
        # Of the upstream's answer: its status, 0 before it; its bytes; and whether it ended.
        self._status = 0
        self._passed = 0
        # How many of them are taken for a token, where the answer can't be read.
        self._token_bytes = 0
        self._whole = False
        self._answer: AnswerReader | None = None

    def cover(self, spending: Spending) -> None:
        """Takes the hold, which may be less than what was to be held."""
        self.spending = spending
        self._covered = self._work.covered(spending.amount)

    # --- the request, called by whoever forwards it

    def note_sending(self) -> None:
        """Notes that the first byte is about to be sent to the upstream."""
        self._sent = True

    def note_answer(self, status: int, headers: CIMultiDictProxy[str]) -> None:
        """Notes the head of the upstream's answer."""
        self._status = status
        kind, coding = headers.get(hdrs.CONTENT_TYPE, ""), headers.get(hdrs.CONTENT_ENCODING, "")
        place = self._work.priced.asked.place
        self._answer = AnswerReader(kind, coding, place=place, takes_usage_out=self._strips_usage)
        if coding not in ("", "identity"):
            self._token_bytes = _CODED
        elif kind.startswith("audio/"):
            self._token_bytes = _AUDIO

    def waits_for_whole(self, headers: CIMultiDictProxy[str]) -> bool:
        """Returns whether the answer is passed on once it is whole, with its cost in its head."""
        length = headers.get(hdrs.CONTENT_LENGTH, "")
        return (
            headers.get(hdrs.CONTENT_TYPE, "").startswith(_JSON)
            and length.isdecimal()
            and int(length) <= _LARGEST_AWAITED
        )

    def read_whole(self, body: bytes, headers: CIMultiDict[str]) -> bytes:
        """Returns what of a whole answer goes on, and writes its cost into its *headers*."""
        passed = self.read(body) + self.read_end()
        if len(passed) != len(body):
            headers.popall(hdrs.CONTENT_LENGTH, None)
        cost = self.close()
        if cost is not None and self.spending is not None:
            headers[COST] = amounts.write(cost.nano_credits)
        return passed

    def begin_stream(self, headers: CIMultiDict[str]) -> None:
        """Prepares the *headers* of an answer that goes on while it arrives."""
        if self._strips_usage:
            headers.popall(hdrs.CONTENT_LENGTH, None)

    def read(self, chunk: bytes) -> bytes:
        """Returns what goes on to the client, now that *chunk* of the answer has arrived."""
        self._passed += len(chunk)
        return chunk if self._answer is None else self._answer.feed(chunk)

    def read_end(self) -> bytes:
        """Returns what goes on at the orderly end of the answer."""
        self._whole = True
        return b"" if self._answer is None else self._answer.finish()

    @property
    def usage_due(self) -> bool:
        """Whether the answer is made, and its usage is yet to come: it is read on if its client leaves."""
        answer = self._answer
        return answer is not None and not self._whole and self._was_served() and answer.usage_due

    # --- the hold

    def is_short(self) -> bool:
        """Returns whether the answer has got beyond what is held for it."""
        if self.spending is None:
            return False
        output = self._output()
        if output > self._covered:
            return True
        self._paid = output
        return False

    def try_extend(self) -> bool:
        """Extends the hold if that needs no call; returns whether it did. Raises `CutError`."""
        tokens = self._missing()
        try:
            extended = self.spending is None or self.spending.try_extend(
                self._work.extension(tokens)
            )
        except SpendingUnavailable:
            raise self._cut(Refusal.BILLING_UNAVAILABLE) from None
        if extended:
            self._covered += tokens
            self._paid = self._output()
        return extended

    async def extend(self) -> None:
        """Extends the hold, by less if less is left; raises `CutError` if that is too little."""
        spending, tokens = self.spending, self._missing()
        if spending is None:
            return
        held, wanted = spending.amount, self._work.extension(tokens)
        try:
            await spending.extend(wanted)
        except (OutOfCredits, AllHeld):
            raise self._cut(self._exhausted) from None
        except SpendingUnavailable:
            raise self._cut(Refusal.BILLING_UNAVAILABLE) from None
        got = spending.amount - held
        self._covered += tokens if got >= wanted else tokens * got // wanted
        if self.is_short():
            raise self._cut(self._exhausted)

    def _cut(self, refusal: Refusal) -> CutError:
        # What came last does not go on, and is not charged.
        self._is_cut = True
        return CutError(refusal)

    def _missing(self) -> int:
        return (
            max(0, self._output() - self._covered) + FIRST_OUTPUT * self._work.priced.asked.choices
        )

    def _output(self) -> int:
        # Tokens that were passed on, by estimate.
        if self._token_bytes:
            return -(-self._passed // self._token_bytes)
        return self._answer.relayed if self._answer is not None else 0

    # --- the end

    def close(self) -> Cost | None:
        """Ends the bill, once; returns what the request cost, None if it cost nothing."""
        if self._closed:
            return None
        self._closed = True
        cost = self._cost()
        if cost is None:
            self._counters.voided += 1
            if self.spending is not None:
                self.spending.void()
            return None
        self._counters.charge(cost.nano_credits, estimated=cost.estimated)
        if self.spending is not None:
            self.spending.charge(
                cost.nano_credits,
                counts=cost.counts,
                status=self._status,
                estimated=cost.estimated,
            )
        return cost

    def _cost(self) -> Cost | None:
        answer = self._answer
        if answer is None:
            return cost_of(self._work, Told()) if self._was_served() else None
        if not self._whole:
            # What it brought by now is read; nothing of it goes on.
            answer.finish()
        usage = answer.meter.usage
        if usage is None and not self._was_served():
            return None
        final = answer.meter.final
        exact = exact_cost(self._work, usage) if usage is not None and final else None
        if exact is not None:
            # To measure the text of an answer that tells its tokens would take time for nothing.
            return exact
        told = Told(
            usage,
            final=final,
            images=answer.images,
            output_tokens=self._paid if self._is_cut else self._output(),
            whole=self._whole or answer.ended,
        )
        return cost_of(self._work, told)

    def _was_served(self) -> bool:
        if self._status:
            return self._status in _SUCCESSES or self._status == _NOT_MODIFIED
        if isinstance(self.body, RequestBody):
            # Nobody can answer a request that did not arrive whole.
            return self._sent and self.body.complete
        return self._sent
