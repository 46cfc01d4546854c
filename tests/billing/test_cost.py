"""What a request costs: by what its answer told where it told enough, else by an estimate."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.billing.cost import Told, cost_of
from gateway.metering.going_by import Priced, Pricing
from gateway.metering.request import Asked
from keyauthority.pricing.amounts import LARGEST_AMOUNT
from keyauthority.pricing.prices import Pattern, Price, Rates
from keyauthority.pricing.usage import Usage

NOW = datetime(2026, 11, 27, tzinfo=UTC)
PATH = "/v1/chat/completions"
# Nano-credits a token.
TOKENS = Rates(input=2_000_000, output=8_000_000)
BYTES = 300
REQUEST = Asked(input_bytes=BYTES)


def work(rates: Rates = TOKENS, asked: Asked = REQUEST, size: int = BYTES) -> Priced:
    price = Price("price_1", Pattern("*"), Pattern(PATH), NOW, rates)
    priced = Pricing(lambda *_: price).of("POST", PATH, asked, size)
    assert isinstance(priced, Priced)
    return priced


EXACT: dict[str, tuple[Rates, Asked, Told, int]] = {
    "a usage": (TOKENS, Asked(), Told(Usage(input=10, output=5), final=True), 60),
    "a usage of zero": (TOKENS, Asked(input_bytes=BYTES), Told(Usage(), final=True, whole=True), 0),
    "a usage, whose answer then broke off": (
        TOKENS,
        Asked(),
        Told(Usage(input=10, output=5), final=True, output_tokens=99),
        60,
    ),
    "each request": (Rates(request=7), Asked(), Told(whole=True), 7),
    "each request, of which nothing came": (Rates(request=7), Asked(), Told(), 7),
    "images": (Rates(image=100, request=1), Asked(images=4), Told(images=3, whole=True), 301),
    "characters": (Rates(character=3), Asked(characters=5), Told(whole=True), 15),
    "seconds": (Rates(second=1000), Asked(), Told(Usage(milliseconds=1500), final=True), 1500),
    "free of charge": (Rates(input=0, output=0), Asked(), Told(Usage(input=3), final=True), 0),
}


@pytest.mark.parametrize("name", EXACT)
def test_what_is_told_is_charged(name: str) -> None:
    """To the nano, and not as an estimate."""
    rates, asked, told, expected = EXACT[name]
    cost = cost_of(work(rates, asked), told)

    assert (cost.nano_credits, cost.estimated) == (expected, False)
    assert cost.nano_credits == rates.cost(Usage(**cost.counts))


ESTIMATED: dict[str, tuple[Rates, Asked, int, Told, int]] = {
    "nothing came": (TOKENS, Asked(input_bytes=BYTES), BYTES, Told(), 200),
    "a piece came": (TOKENS, Asked(input_bytes=BYTES), BYTES, Told(output_tokens=9), 272),
    "all came, without a usage": (
        TOKENS,
        Asked(input_bytes=BYTES),
        BYTES,
        Told(output_tokens=9, whole=True),
        272,
    ),
    "a usage at the start of a stream that broke off": (
        TOKENS,
        Asked(input_bytes=BYTES),
        BYTES,
        Told(Usage(input=10, output=1), output_tokens=9),
        92,
    ),
    "a usage so far, beyond what came": (
        TOKENS,
        Asked(input_bytes=BYTES),
        BYTES,
        Told(Usage(input=10, output=12), output_tokens=9),
        116,
    ),
    "images that did not come": (Rates(image=100), Asked(images=4), 0, Told(), 400),
    "seconds that nobody told": (Rates(second=1000), Asked(), 32_000, Told(whole=True), 2_000),
    "a usage that the price does not go by": (
        TOKENS,
        Asked(input_bytes=BYTES),
        BYTES,
        Told(Usage(milliseconds=5), final=True, whole=True),
        200,
    ),
    "characters that did not come": (Rates(character=3), Asked(characters=5), 9, Told(), 15),
}


@pytest.mark.parametrize("name", ESTIMATED)
def test_what_is_not_told_is_estimated(name: str) -> None:
    """By the request and by what was passed on, never as nothing."""
    rates, asked, size, told, expected = ESTIMATED[name]
    cost = cost_of(work(rates, asked, size), told)

    assert (cost.nano_credits, cost.estimated) == (expected, True)
    assert cost.nano_credits == rates.cost(Usage(**cost.counts))


def test_who_has_no_credits_gets_nothing_that_is_measured_afterwards() -> None:
    """A hold is more than nothing, unless nothing costs anything."""
    assert work(Rates(second=1), size=0).hold == 1
    assert work(Rates(second=1000), size=32_000).hold == 2_000
    assert work(Rates(input=0, output=0)).hold == 0
    assert work(Rates(input=LARGEST_AMOUNT, output=1), size=10**9).hold <= LARGEST_AMOUNT


def test_how_much_of_an_answer_a_hold_covers() -> None:
    """The first thousand tokens, or twice what the request allows, since their number is estimated."""
    unlimited, limited = work(), work(asked=Asked(input_bytes=BYTES, output_tokens=10))

    assert unlimited.hold == 200 + 8_000
    assert unlimited.covered(8_200) == 1_000
    assert unlimited.covered(4_200) == 500
    assert unlimited.covered(100) == 0
    assert limited.hold == 200 + 80
    assert limited.covered(280) == 20
    assert limited.covered(240) == 5
    assert unlimited.extension(1_000) == 8_000


@pytest.mark.parametrize(
    "rates",
    [Rates(request=5_000), Rates(input=100_000, output=0), Rates(character=10), Rates(image=7)],
    ids=["request", "input", "characters", "images"],
)
def test_output_that_costs_nothing_is_covered_by_any_hold(rates: Rates) -> None:
    """So a long answer, such as embeddings, needs no call and no lease."""
    one = work(rates, Asked(input_bytes=BYTES, output_tokens=10))
    for amount in (1, one.hold):
        assert one.covered(amount) >= 10**12


RATE = st.integers(0, 10**12)


@given(
    st.builds(Rates, input=RATE, output=RATE, request=st.none() | RATE),
    st.integers(1, 10**7),
    st.integers(0, 10**5),
    st.integers(1, 10**6),
)
def test_a_whole_hold_covers_what_was_asked_for(
    rates: Rates, size: int, output: int, amount: int
) -> None:
    """No hold covers more than one that is larger."""
    asked = Asked(input_bytes=size, output_tokens=output)
    one = work(rates, asked, size)

    assert one.covered(one.hold) >= one.output
    assert one.covered(amount) <= max(one.covered(amount + 1), one.covered(one.hold))
