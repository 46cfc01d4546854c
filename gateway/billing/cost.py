"""What a request costs: by the usage that its answer tells, else by an estimate. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from gateway.metering.going_by import BYTES_A_SECOND, Priced
from gateway.metering.plain import plain_counts
from gateway.metering.reader import BYTES_A_TOKEN
from gateway.metering.request import Asked
from keyauthority.pricing.prices import Rates
from keyauthority.pricing.usage import Usage


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


class Cost(msgspec.Struct, frozen=True, gc=False):
    """What a request costs."""

    nano_credits: int
    counts: dict[str, int]
    """What it used, by class, without what is zero."""
    estimated: bool = False


def cost_of(priced: Priced, told: Told) -> Cost:
    """Returns what a request costs that was sent to the upstream."""
    rates = priced.price.rates
    usage = _exact(rates, priced.asked, told)
    if usage is not None:
        return Cost(rates.cost(usage), usage.counts)
    usage = _estimate(rates, priced, told)
    return Cost(rates.cost(usage), usage.counts, estimated=True)


def exact_cost(rates: Rates, usage: Usage) -> Cost | None:
    """Returns what a request costs by the usage of its whole answer; None if the price needs more."""
    return Cost(rates.cost(usage), usage.counts) if rates.prices(usage) else None


def plain_cost(rates: Rates, answer: bytes) -> Cost | None:
    """Returns what a request costs whose whole answer tells its tokens in the plain way; else None."""
    counts = plain_counts(answer) if rates.input is not None else None
    return None if counts is None else Cost(rates.cost_of(counts), counts)


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


def _estimate(rates: Rates, priced: Priced, told: Told) -> Usage:
    # A stream may tell a usage at its start, which knows little of the output.
    asked, usage = priced.asked, told.usage or Usage()
    if not usage.input_tokens:
        usage = usage._replace(input=-(-asked.input_bytes // BYTES_A_TOKEN))
    untold = max(0, told.output_tokens - usage.output_tokens)
    usage = usage._replace(output=usage.output + untold, images=max(told.images, asked.images))
    if rates.second and not usage.milliseconds:
        usage = usage._replace(milliseconds=-(-priced.size * 1000 // BYTES_A_SECOND))
    if rates.character:
        usage = usage._replace(characters=asked.characters or asked.input_bytes)
    return usage
