"""Which price a request goes by, and how much is held for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import Enum, auto
from typing import Final

import msgspec

from gateway.metering.endpoints import Endpoint, target_of
from gateway.metering.request import AmbiguousRequestError, Asked
from keyauthority.pricing.amounts import LARGEST_AMOUNT
from keyauthority.pricing.prices import Price, Rates

FIRST_OUTPUT: Final = 1000
"""Tokens of output, of each choice, that are held for at first."""

FREE_METHODS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
"""Methods whose requests cost nothing, unless their path has a price of its own for each request."""

BYTES_A_SECOND: Final = 16_000
"""Of audio of which nobody tells the length: that of 128 kbit/s."""
_RATES: Final = tuple(field.name for field in fields(Rates))
_JOB: Final = Endpoint.JOB
_ANY: Final = "*"
# Patterns of a path that mean each below the root.
_GENERAL: Final = frozenset({"/v1/", *("/v1/"[:length] + "*" for length in range(5))})

Lookup = Callable[[str, str], Price | None]
"""Finds the price of a model at a path, as `PriceTable.find` and `Spender.price` do."""


class Priced(msgspec.Struct, frozen=True, gc=False):
    """A request that goes by *price*, and the nano-credits to hold for it."""

    price: Price
    asked: Asked
    """What it asks for; of a body that was not read, by its size."""
    output: int
    """The tokens of output that are held for."""
    hold: int
    """More than nothing if anything may cost something: without credits, there are no seconds of audio."""
    size: int
    """Bytes of the request's body, files included."""

    def extension(self, tokens: int) -> int:
        """Returns the nano-credits to hold for *tokens* more of output."""
        rates = self.price.rates
        return rates.estimate(0, tokens) - rates.estimate(0, 0)

    def covered(self, amount: int) -> int:
        """Returns how many tokens of output a first hold of *amount* covers."""
        asked, output = self.asked, self.output
        if not self.price.rates.prices_output:
            # However much comes, no more has to be held.
            return sys.maxsize
        if amount >= self.hold:
            # Where that is all that it asks for, what was passed on may seem to be more: its number is
            # estimated, but hardly by twice too many.
            return 2 * output if output == asked.output_tokens * asked.choices else output
        left = amount - self.price.rates.estimate(asked.input_bytes, 0, asked.images)
        return max(0, left) * FIRST_OUTPUT // max(1, self.extension(FIRST_OUTPUT))


class Unpriced(Enum):
    """Why a request goes by no price."""

    FREE = auto()
    """It costs nothing: nothing is held and nothing charged."""
    NOT_PRICED = auto()
    """It is refused: 400 `model_not_priced`."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """How requests find their price, by settings."""

    lookup: Lookup
    holds_limit: bool = False
    """`--hold full`: holds for all the output that a request allows, not only for the first 1,000."""
    allows_default: bool = False
    """`--unpriced default`: a row of every model at every path is a price too."""

    def of(self, method: str, path: str, asked: Asked | None, size: int) -> Priced | Unpriced:
        """Returns what a request goes by; *size* is that of its body, in bytes.

        *asked* is None for a body in which there is nothing to read, or that is too large to be looked
        at whole: it names no model, and goes by a row of every model (`*`). A request that sets work
        going whose usage nobody tells goes by a price of each request alone, or by none. Raises
        `AmbiguousRequestError` for a path whose readings have different prices or are different
        endpoints, and for an answer that would not tell what the price goes by.
        """
        if method in FREE_METHODS:
            return self._of_free_method(path)
        target = target_of(path)
        if not target.is_certain:
            raise AmbiguousRequestError("the path has readings that are different endpoints")
        price = self._applying(asked.model if asked else "", path, target.path)
        if price is None:
            return Unpriced.NOT_PRICED
        place = target.endpoint if asked is None else asked.place
        if place is _JOB:
            return _by_request(price) if _is_of_requests(price) else Unpriced.NOT_PRICED
        if asked is None:
            asked = Asked(images=int(place is Endpoint.IMAGES), input_bytes=size, place=place)
        if price.rates.second and not asked.tells_seconds:
            raise AmbiguousRequestError("an answer in this format does not tell the seconds")
        return self._priced(price, asked, size)

    def of_websocket(self, path: str) -> Priced | Unpriced:
        """Returns what a websocket at *path* goes by: a price of each request alone, or none.

        Nobody reads what passes on it. It names no model that anybody could rely on.
        """
        target = target_of(path)
        if not target.is_certain:
            raise AmbiguousRequestError("the path has readings that are different endpoints")
        price = self._applying("", path, target.path)
        if price is None or not _is_of_requests(price):
            return Unpriced.NOT_PRICED
        return _by_request(price)

    def _applying(self, model: str, path: str, plain: str | None) -> Price | None:
        price = self._find(model, path, plain)
        if price is None or self.allows_default or price.model.text != _ANY:
            return price
        return None if _is_general(price) else price

    def _of_free_method(self, path: str) -> Priced | Unpriced:
        # What has a price by none of its readings is free, however it is read.
        plain = target_of(path).path
        prices = [self.lookup("", reading) for reading in (path, plain) if reading]
        if all(price is None or _is_general(price) for price in prices):
            return Unpriced.FREE
        price = self._find("", path, plain)
        return Unpriced.FREE if price is None else _by_request(price)

    def _find(self, model: str, path: str, plain: str | None) -> Price | None:
        # Servers read a path in several ways. Prices are found by the one that stands for them all.
        price = self.lookup(model, path)
        if plain == path:
            return price
        if plain is None or self.lookup(model, plain) is not price:
            raise AmbiguousRequestError("the path has readings with different prices")
        return price

    def _priced(self, price: Price, asked: Asked, size: int) -> Priced:
        output, rates = asked.output_tokens or FIRST_OUTPUT, price.rates
        if output > FIRST_OUTPUT and not self.holds_limit:
            output = FIRST_OUTPUT
        output *= asked.choices
        hold = rates.estimate(asked.input_bytes, output, asked.images)
        if rates.second:
            hold = min(hold + -(-size // BYTES_A_SECOND) * rates.second, LARGEST_AMOUNT)
        if not hold:
            hold = int(any(getattr(rates, name) for name in _RATES))
        return Priced(price, asked, output, hold, size)


def _is_general(price: Price) -> bool:
    return price.path.text in _GENERAL


def _is_of_requests(price: Price) -> bool:
    # Whether nothing but each request has a price.
    return price.rates == Rates(request=price.rates.request or 0)


def _by_request(price: Price) -> Priced | Unpriced:
    # What the answer tells of usage is that of an earlier request, such as of a stored response.
    each = price.rates.request
    if not each:
        return Unpriced.FREE
    return Priced(replace(price, rates=Rates(request=each)), Asked(), output=0, hold=each, size=0)
