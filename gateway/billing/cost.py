"""What a request costs: by the usage that its answer tells, else by an estimate. Pure."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from typing import Final, NamedTuple

from gateway.metering.going_by import FIRST_OUTPUT, Priced
from gateway.metering.request import Asked
from keyauthority.pricing.amounts import LARGEST_AMOUNT
from keyauthority.pricing.prices import Rates
from keyauthority.pricing.usage import Usage

_BYTES_A_TOKEN: Final = 3
_BYTES_A_SECOND: Final = 16_000
"""Of audio of which nobody tells the length: that of 128 kbit/s."""
_CLASSES: Final = tuple(field.name for field in fields(Usage))
_RATES: Final = tuple(field.name for field in fields(Rates))


class Work(NamedTuple):
    """What a request has the upstream do, by its price."""

    priced: Priced
    # Bytes of the request's body, files included.
    size: int

    @property
    def first_hold(self) -> int:
        """The nano-credits to hold.

        More than nothing if anything may cost something: without credits, there are no seconds of audio.
        """
        rates, amount = self.priced.price.rates, self.priced.hold
        if rates.second:
            amount += -(-self.size // _BYTES_A_SECOND) * rates.second
        if not amount:
            return int(any(getattr(rates, name) for name in _RATES))
        return min(amount, LARGEST_AMOUNT)

    def extension(self, tokens: int) -> int:
        """Returns the nano-credits to hold for *tokens* more of output."""
        rates = self.priced.price.rates
        return rates.estimate(0, tokens) - rates.estimate(0, 0)

    def covered(self, amount: int) -> int:
        """Returns how many tokens of output a first hold of *amount* covers."""
        step = self.extension(FIRST_OUTPUT)
        if not step:
            # Output costs nothing: however much comes, no more has to be held.
            return sys.maxsize
        asked, output = self.priced.asked, self.priced.output
        if amount >= self.first_hold:
            # Where that is all that it asks for, what was passed on may seem to be more: its number is
            # estimated, but hardly by twice too many.
            return 2 * output if output == asked.output_tokens * asked.choices else output
        left = amount - self.priced.price.rates.estimate(asked.input_bytes, 0, asked.images)
        return max(0, left) * FIRST_OUTPUT // step


class Told(NamedTuple):
    """What an answer told so far."""

    # None if it told none.
    usage: Usage | None = None
    # Whether that is the usage of the whole answer.
    final: bool = False
    images: int = 0
    # Output tokens that were passed on, by estimate.
    output_tokens: int = 0
    # Whether the answer ended as it should.
    whole: bool = False


class Cost(NamedTuple):
    """What a request costs."""

    nano_credits: int
    usage: Usage
    estimated: bool

    @property
    def counts(self) -> dict[str, int]:
        """The usage by class, without what is zero."""
        return {name: count for name in _CLASSES if (count := getattr(self.usage, name))}


def cost_of(work: Work, told: Told) -> Cost:
    """Returns what *work* costs, which was sent to the upstream."""
    rates = work.priced.price.rates
    usage = _exact(rates, work.priced.asked, told)
    if usage is not None:
        return Cost(rates.cost(usage), usage, estimated=False)
    usage = _estimate(rates, work, told)
    return Cost(rates.cost(usage), usage, estimated=True)


def exact_cost(work: Work, usage: Usage) -> Cost | None:
    """Returns what *work* costs by the usage of its whole answer; None if its price needs more."""
    rates = work.priced.price.rates
    return Cost(rates.cost(usage), usage, False) if rates.prices(usage) else None


def _exact(rates: Rates, asked: Asked, told: Told) -> Usage | None:
    # None if nobody tells what the price goes by.
    if told.usage is not None and told.final and rates.prices(told.usage):
        return told.usage
    if rates.input is None and rates.image is None and rates.second is None:
        if rates.character is None:
            return told.usage or Usage()
        if told.whole and asked.characters:
            return Usage(characters=asked.characters)
    by_image = rates.image is not None and rates.input is None and rates.second is None
    return Usage(images=told.images) if by_image and told.whole and told.images else None


def _estimate(rates: Rates, work: Work, told: Told) -> Usage:
    # A stream may tell a usage at its start, which knows little of the output.
    asked, usage = work.priced.asked, told.usage or Usage()
    if not usage.input_tokens:
        usage = replace(usage, input=-(-asked.input_bytes // _BYTES_A_TOKEN))
    untold = max(0, told.output_tokens - usage.output_tokens)
    usage = replace(usage, output=usage.output + untold, images=max(told.images, asked.images))
    if rates.second and not usage.milliseconds:
        usage = replace(usage, milliseconds=-(-work.size * 1000 // _BYTES_A_SECOND))
    if rates.character:
        usage = replace(usage, characters=asked.characters or asked.input_bytes)
    return usage
