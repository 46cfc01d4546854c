"""Which price a request goes by, and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyauthority.pricing.amounts import LARGEST_AMOUNT
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

    cost = rates.cost(usage)
    if exact >= LARGEST_AMOUNT + Fraction(1, 2):
        assert cost == LARGEST_AMOUNT
    else:
        assert cost - Fraction(1, 2) <= exact < cost + Fraction(1, 2)


def test_no_cost_is_larger_than_an_entry_can_hold() -> None:
    """It is cut, and equal to the largest amount: so whoever writes it down can say so."""
    rates = Rates(request=LARGEST_AMOUNT, image=1, character=1)

    assert rates.cost(Usage(images=1)) == LARGEST_AMOUNT
    assert rates.estimate(9, 0, images=1) == LARGEST_AMOUNT


def test_a_class_without_a_price_costs_what_contains_it_costs() -> None:
    """Never nothing."""
    rates = Rates(input=2_000_000, output=8_000_000)

    assert rates.cost(Usage(cached_input=1, cache_write=1, audio_input=1, image_input=1)) == 8
    assert rates.cost(Usage(reasoning=1, audio_output=1)) == 16


def test_a_class_may_be_free() -> None:
    assert Rates(input=2_000_000, cached_input=0, output=0).cost(Usage(cached_input=9)) == 0


@given(RATES, st.builds(Usage, *[st.integers(0, 10**5)] * 8, *[st.just(0)] * 3))
def test_what_is_held_covers_a_request_of_that_many_tokens(rates: Rates, usage: Usage) -> None:
    """Of whatever classes they are."""
    assert rates.estimate(3 * usage.input_tokens, usage.output_tokens) >= rates.cost(usage)


def test_a_usage_is_priced_by_whatever_measure_has_a_rate() -> None:
    """Tokens and images of one answer, say; else its cost is to be estimated."""
    tokens, images = Rates(input=0, output=1), Rates(image=1, request=1)

    assert tokens.prices(Usage(cached_input=1, reasoning=1))
    assert tokens.prices(Usage(output=1056, images=1))
    assert not tokens.prices(Usage(images=1))
    assert images.prices(Usage(output=1056, images=1))
    assert not images.prices(Usage(output=1))
    assert not images.prices(Usage(milliseconds=1, characters=1))
    assert images.prices(Usage())
    assert Rates(request=1).prices(Usage(input=1, milliseconds=1))


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


def test_the_case_of_a_model_decides_about_nothing() -> None:
    """Else `GPT-5` would go by the cheaper row of all models, at an upstream that takes any case."""
    rows = row("gpt-5*", name="dear"), row("*", name="cheap")
    assert found(*rows, model="GPT-5-mini") == "dear"
    assert found(row("Qwen/Qwen3*", name="dear"), *rows, model="qwen/qwen3-8b") == "dear"
    later = row("GPT-5*", name="later", since=NOW + timedelta(hours=1))
    table = PriceTable((*rows, later))
    for model in ("gpt-5", "GPT-5"):
        price = table.find(model, "/v1/x", NOW)
        assert price is not None
        assert price.id == "dear"
        price = table.find(model, "/v1/x", NOW + timedelta(hours=1))
        assert price is not None
        assert price.id == "later"


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


def test_an_earlier_time_is_answered_rightly_after_a_later_one() -> None:
    later = NOW + timedelta(seconds=1)
    table = PriceTable([row("m", name="old"), row("m", name="new", since=later)])

    prices = [table.find("m", "/v1/x", now) for now in (later, NOW, NOW - timedelta(seconds=1))]

    assert [price and price.id for price in prices] == ["new", "old", None]


def test_of_rows_that_are_equal_the_id_decides() -> None:
    """Whatever order they were read in."""
    rows = row("m", name="a"), row("m", name="b")

    assert found(*rows, model="m") == found(*reversed(rows), model="m") == "b"


def test_long_names_are_not_remembered() -> None:
    """Clients choose them."""
    table = PriceTable([row("m*")])

    for model, path in (("m" * 1000, "/"), ("m", "/" * 1000), ("mini", "/v1/x")):
        assert table.find(model, path, NOW)

    assert list(table._remembered) == [("mini", "/v1/x")]
