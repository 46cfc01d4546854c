"""Which price a request goes by, and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyauthority.pricing.prices import Pattern, Price, PriceTable, Rates
from keyauthority.pricing.usage import Usage

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
RATE = st.integers(0, 10**12)
COUNT = st.integers(0, 10**9)
RATES = st.builds(
    Rates,
    input=RATE,
    output=RATE,
    **{
        name: st.none() | RATE
        for name in (
            "cached_input",
            "cache_write",
            "audio_input",
            "image_input",
            "reasoning",
            "audio_output",
            "request",
            "image",
            "second",
            "character",
        )
    },
)
USAGE = st.builds(Usage, *[COUNT] * 11)


def row(model: str, path: str = "*", *, name: str = "", since: datetime = NOW) -> Price:
    return Price(name or f"{model} {path}", Pattern(model), Pattern(path), since, Rates(request=1))


def found(*rows: Price, model: str = "gpt-5-mini", path: str = "/v1/chat/completions") -> str:
    price = PriceTable(rows).find(model, path, NOW)
    return price.id if price else "none"


@given(RATES, USAGE)
def test_a_cost_is_rounded_once_and_half_up(rates: Rates, usage: Usage) -> None:
    exact = Fraction(0)
    for name, container in (
        ("input", rates.input),
        ("cached_input", rates.input),
        ("cache_write", rates.input),
        ("audio_input", rates.input),
        ("image_input", rates.input),
        ("output", rates.output),
        ("reasoning", rates.output),
        ("audio_output", rates.output),
    ):
        own = getattr(rates, name)
        exact += Fraction(getattr(usage, name) * (container if own is None else own), 10**6)
    exact += (rates.request or 0) + usage.images * (rates.image or 0)
    exact += usage.characters * (rates.character or 0)
    exact += Fraction(usage.milliseconds * (rates.second or 0), 1000)

    assert rates.cost(usage) - Fraction(1, 2) <= exact < rates.cost(usage) + Fraction(1, 2)


def test_a_class_without_a_price_costs_what_contains_it_costs() -> None:
    """Never nothing."""
    rates = Rates(input=2_000_000, output=8_000_000)

    assert rates.cost(Usage(cached_input=1, cache_write=1, audio_input=1, image_input=1)) == 8
    assert rates.cost(Usage(reasoning=1, audio_output=1)) == 16


def test_a_class_may_be_free() -> None:
    assert Rates(input=2_000_000, cached_input=0, output=0).cost(Usage(cached_input=9)) == 0


@given(RATES, st.integers(0, 10**6), st.integers(0, 10**5))
def test_what_is_held_covers_a_request_of_that_many_tokens(
    rates: Rates, tokens: int, output: int
) -> None:
    usage = Usage(input=tokens, output=output)
    assert rates.estimate(3 * tokens, output) >= rates.cost(usage)


@pytest.mark.parametrize(
    ("rates", "why"),
    [
        ({}, "at least one rate"),
        ({"input": 1}, "both input and output"),
        ({"reasoning": 1}, "both input and output"),
        ({"request": -1}, "request is from 0"),
        ({"request": 10**17 + 1}, "request is from 0"),
    ],
)
def test_what_is_no_price_is_refused(rates: dict[str, int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Rates(**rates)


@pytest.mark.parametrize("text", ["", "gpt-*-mini", "**"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no pattern"):
        Pattern(text)


def test_the_most_precise_model_wins() -> None:
    rows = row("*"), row("gpt-5*"), row("gpt-5-mini*"), row("gpt-4*")

    assert found(*rows) == "gpt-5-mini* *"
    assert found(*rows, row("gpt-5-mini")) == "gpt-5-mini *"
    assert found(*rows, model="o9") == "* *"
    assert found(row("gpt-5*"), model="o9") == "none"


def test_the_model_counts_before_the_path() -> None:
    rows = row("gpt-5*", "*"), row("*", "/v1/chat/completions")

    assert found(*rows) == "gpt-5* *"
    assert found(*rows, row("gpt-5*", "/v1/chat*")) == "gpt-5* /v1/chat*"
    assert found(*rows, model="o9") == "* /v1/chat/completions"
    assert found(*rows, model="o9", path="/v1/embeddings") == "none"


def test_a_newer_row_takes_over_at_its_time_and_not_before() -> None:
    """Also where the answer is remembered."""
    later = NOW + timedelta(seconds=1)
    table = PriceTable([row("m", name="old"), row("m", name="new", since=later)])

    def price(now: datetime) -> str:
        found = table.find("m", "/v1/x", now)
        return found.id if found else "none"

    assert price(NOW - timedelta(seconds=1)) == "none"
    assert price(NOW) == price(later - timedelta(microseconds=1)) == "old"
    assert price(later) == price(later + timedelta(days=9000)) == "new"
