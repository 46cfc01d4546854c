"""Prices: rows that are never changed, which of them a request goes by, and what its usage costs."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from keyauthority.pricing.amounts import LARGEST_AMOUNT
from keyauthority.pricing.usage import Usage

_MILLION: Final = 10**6
_REMEMBERED: Final = 10_000
_LONGEST_REMEMBERED: Final = 256
"""Letters of model and path: clients choose both, and may not fill the memory."""


# Without slots, since it remembers what follows from it: a row prices many requests.
@dataclass(frozen=True)
class Rates:
    """Nano-credits: per million of each class of tokens, and per request, image, second, character.

    A class of tokens without a rate of its own (None) has that of the class that contains it:
    `input` or `output`. The others cost nothing without one.
    """

    input: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    audio_input: int | None = None
    image_input: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_output: int | None = None
    request: int | None = None
    image: int | None = None
    second: int | None = None
    character: int | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` with a sentence if the rates are no price."""
        rates = {field.name: getattr(self, field.name) for field in fields(self)}
        stated = {name: rate for name, rate in rates.items() if rate is not None}
        if not stated:
            raise ValueError("a price names at least one rate")
        for name, rate in stated.items():
            if not 0 <= rate <= LARGEST_AMOUNT:
                raise ValueError(f"the rate {name} is from 0 to {LARGEST_AMOUNT} nano-credits")
        if stated.keys() & _TOKENS and not stated.keys() >= {"input", "output"}:
            raise ValueError("a price of tokens names both input and output, if need be 0")

    def cost(self, usage: Usage) -> int:
        """Returns what *usage* costs in nano-credits, rounded once, half up.

        It is cut to `LARGEST_AMOUNT`, the most that an entry holds, and does not raise: what was used
        is charged in any case. So a cost of exactly that much is one that was cut.
        """
        return self.cost_of(usage._asdict())

    def cost_of(self, counts: Mapping[str, int]) -> int:
        """Returns what a usage costs, as `cost` does, by its classes; those of zero may be left out."""
        rates = self._millionths
        millionths = self._half_up
        for name, count in counts.items():
            millionths += count * rates[name]
        cost = millionths // _MILLION
        if cost > LARGEST_AMOUNT:
            return LARGEST_AMOUNT
        return cost

    @cached_property
    def _half_up(self) -> int:
        # What each request costs, in millionths, so that what is added to it is rounded half up.
        return _MILLION * (self.request or 0) + _MILLION // 2

    @cached_property
    def _millionths(self) -> dict[str, int]:
        # Of a nano-credit, for one of each class.
        plain_input, plain_output = self.input or 0, self.output or 0
        return Usage(
            input=plain_input,
            cached_input=_or(self.cached_input, plain_input),
            cache_write=_or(self.cache_write, plain_input),
            audio_input=_or(self.audio_input, plain_input),
            image_input=_or(self.image_input, plain_input),
            output=plain_output,
            reasoning=_or(self.reasoning, plain_output),
            audio_output=_or(self.audio_output, plain_output),
            images=_MILLION * (self.image or 0),
            milliseconds=1000 * (self.second or 0),
            characters=_MILLION * (self.character or 0),
        )._asdict()

    def prices(self, usage: Usage) -> bool:
        """Returns whether *usage* can be priced; if not, its cost is to be estimated.

        Tokens, images, seconds and characters may measure the same answer: a rate for one of those used
        is enough. Where `request` is the only rate, every usage is priced.
        """
        if self.input is not None and (usage.input or usage.output):
            return True
        measures = (
            (usage.input_tokens + usage.output_tokens, self.input),
            (usage.images, self.image),
            (usage.milliseconds, self.second),
            (usage.characters, self.character),
        )
        used = [rate for count, rate in measures if count]
        by_request_alone = all(rate is None for _, rate in measures)
        return not used or by_request_alone or any(rate is not None for rate in used)

    def estimate(self, input_bytes: int, output_tokens: int, images: int = 0) -> int:
        """Returns what to hold for a request of *input_bytes* that may bring *output_tokens*.

        A token is reckoned as three bytes, and each at the dearest rate of its side, whatever class it
        will be of. Seconds are only known afterwards, and not reckoned. It is cut as `cost` is.
        """
        dearest_input, dearest_output, each = self._dearest
        if images or self.character:
            each += _MILLION * (images * (self.image or 0) + input_bytes * (self.character or 0))
        millionths = -(-input_bytes // 3) * dearest_input + output_tokens * dearest_output + each
        amount = -(-millionths // _MILLION)
        if amount > LARGEST_AMOUNT:
            return LARGEST_AMOUNT
        return amount

    @property
    def prices_output(self) -> bool:
        """Whether the tokens of an answer cost anything."""
        return self._dearest[1] > 0

    @cached_property
    def _dearest(self) -> tuple[int, int, int]:
        # The dearest rate of each side, and that of a request, in millionths.
        each = _MILLION * (self.request or 0)
        return _dearest(self, _INPUT), _dearest(self, _OUTPUT), each


_INPUT: Final = ("input", "cached_input", "cache_write", "audio_input", "image_input")
_OUTPUT: Final = ("output", "reasoning", "audio_output")
_TOKENS: Final = frozenset(_INPUT + _OUTPUT)


def _dearest(rates: Rates, names: Iterable[str]) -> int:
    return max(getattr(rates, name) or 0 for name in names)


def _or(rate: int | None, container: int) -> int:
    return container if rate is None else rate


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that another is equal to, or begins with if it ends in `*`."""

    text: str

    def __post_init__(self) -> None:
        """Raises `ValueError` if it is no pattern."""
        if not self.text or "*" in self.text[:-1]:
            raise ValueError(f"{self.text!r} is no pattern: a text, or its beginning and a *")

    def matches(self, text: str) -> bool:
        """Whether *text* is meant."""
        if self.text.endswith("*"):
            return text.startswith(self.text[:-1])
        return text == self.text

    @property
    def precision(self) -> tuple[int, bool]:
        """What the more precise of two patterns has more of: literal letters, then no `*`."""
        literal = self.text.removesuffix("*")
        return len(literal), literal == self.text


@dataclass(frozen=True, slots=True)
class Price:
    """One row: from `effective_time` on, requests of such models to such paths go by `rates`."""

    id: str
    model: Pattern
    path: Pattern
    effective_time: datetime
    rates: Rates


_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


class PriceTable:
    """All rows. The most precise pattern of the model wins, then that of the path, then the newest row.

    Of rows that are equal in all of that, the one with the greatest id wins. Models are the same in any
    case, as some upstreams take them: clients choose how they write them.
    """

    def __init__(self, rows: Iterable[Price]) -> None:
        folded = [(Pattern(row.model.text.casefold()), row) for row in rows]
        self._rows = sorted(folded, key=_rank, reverse=True)
        self._times = sorted({row.effective_time for _, row in self._rows})
        self._remembered: dict[tuple[str, str], Price | None] = {}
        # From the first to before the second, the answers stay the same.
        self._interval = _FIRST, _FIRST

    def __bool__(self) -> bool:
        return bool(self._rows)

    def find(self, model: str, path: str, now: datetime) -> Price | None:
        """Returns the row that a request for *model* at *path* goes by at *now*; None if none does."""
        start, end = self._interval
        if not start <= now < end:
            self._forget(now)
        asked = (model, path)
        if asked in self._remembered:
            return self._remembered[asked]
        price = self._search(model, path, now)
        if len(model) + len(path) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[asked] = price
        return price

    def _forget(self, now: datetime) -> None:
        following = bisect.bisect_right(self._times, now)
        start = self._times[following - 1] if following else _FIRST
        end = self._times[following] if self._times[following:] else _LAST
        self._interval = start, end
        self._remembered.clear()

    def _search(self, model: str, path: str, now: datetime) -> Price | None:
        folded = model.casefold()
        for pattern, row in self._rows:
            if row.effective_time <= now and pattern.matches(folded) and row.path.matches(path):
                return row
        return None


def _rank(folded: tuple[Pattern, Price]) -> tuple[object, ...]:
    model, row = folded
    return model.precision, row.path.precision, row.effective_time, row.id
