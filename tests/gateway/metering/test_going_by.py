"""Which price a request goes by, and what is held for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.metering.going_by import Priced, Pricing, Unpriced
from gateway.metering.request import AmbiguousRequestError, Asked, read_request
from keyauthority.pricing.prices import Pattern, Price, PriceTable, Rates

NOW = datetime(2026, 11, 27, tzinfo=UTC)
CHAT = "/v1/chat/completions"
TOKENS = Rates(input=3_000_000, output=10_000_000)


def price(name: str, model: str, path: str, rates: Rates = TOKENS) -> Price:
    return Price(name, Pattern(model), Pattern(path), NOW, rates)


GPT = price("gpt", "gpt-*", "*")
EMBEDDINGS = price("embeddings", "*", "/v1/embeddings")
FILES = price("files", "*", "/v1/files*", Rates(request=5))
ANY = price("any", "*", "*")
IMAGES = price("images", "img", "/v1/images/*", Rates(image=100, request=1))


def pricing(*rows: Price, full: bool = False, default: bool = False) -> Pricing:
    table = PriceTable(rows)
    return Pricing(lambda model, path: table.find(model, path, NOW), full, default)


def row(result: Priced | Unpriced) -> str:
    return result.price.id if isinstance(result, Priced) else result.name


ROWS = (GPT, EMBEDDINGS, FILES, ANY, IMAGES)


@pytest.mark.parametrize(
    ("method", "path", "model", "refusing", "default"),
    [
        ("POST", CHAT, "gpt-4o", "gpt", "gpt"),
        ("POST", CHAT, "other", "NOT_PRICED", "any"),
        ("POST", CHAT, "", "NOT_PRICED", "any"),
        ("POST", "/v1/embeddings", "other", "embeddings", "embeddings"),
        ("POST", "/v1/moderations", None, "NOT_PRICED", "any"),
        ("PUT", "/v1/moderations", None, "NOT_PRICED", "any"),
        ("PURGE", "/v1/moderations", None, "NOT_PRICED", "any"),
        ("get", "/v1/models", None, "NOT_PRICED", "any"),
        ("GET", "/v1/models", None, "FREE", "FREE"),
        ("GET", "/v1/models", "gpt-4o", "FREE", "FREE"),
        ("HEAD", "/v1/models", None, "FREE", "FREE"),
        ("OPTIONS", CHAT, None, "FREE", "FREE"),
        ("DELETE", "/v1/models/x", None, "FREE", "FREE"),
        ("GET", "/v1/files/1/content", None, "files", "files"),
        ("DELETE", "/v1/files/1", None, "files", "files"),
    ],
)
def test_which_row_a_request_goes_by(
    method: str, path: str, model: str | None, refusing: str, default: str
) -> None:
    request = None if model is None else Asked(model)
    assert row(pricing(*ROWS).of(method, path, request, 10)) == refusing
    assert row(pricing(*ROWS, default=True).of(method, path, request, 10)) == default


def test_reading_costs_what_a_request_costs() -> None:
    """No tokens: the usage in the answer, such as a stored response, was charged before."""
    rates = Rates(input=1, output=1, request=5)
    rows = price("stored", "*", "/v1/responses*", rates), price("batch", "*", "/v1/batches*")
    priced = pricing(*rows).of("GET", "/v1/responses/1", None, 0)

    assert isinstance(priced, Priced)
    assert (priced.price.id, priced.hold, priced.output) == ("stored", 5, 0)
    assert priced.price.rates == Rates(request=5)
    assert row(pricing(*rows).of("GET", "/v1/batches/1", None, 0)) == "FREE"


def test_without_rows_nothing_has_a_price() -> None:
    for default in (False, True):
        assert row(pricing(default=default).of("POST", CHAT, Asked("m"), 1)) == "NOT_PRICED"


@pytest.mark.parametrize(
    "path", ["/v1/Chat/completions", "/v1/chat/completions/", "/v1/chat/completion%73"]
)
def test_a_path_is_priced_by_all_its_readings(path: str) -> None:
    dear = price("dear", "*", CHAT)
    with pytest.raises(AmbiguousRequestError):
        pricing(dear, ANY, default=True).of("POST", path, Asked("m"), 1)
    with pytest.raises(AmbiguousRequestError):
        pricing(dear).of("POST", path, Asked("m"), 1)
    assert row(pricing(ANY, default=True).of("POST", path, Asked("m"), 1)) == "any"


@pytest.mark.parametrize("slash", ["%2F", "%2f", "%252F"])
def test_an_encoded_slash_is_priced_as_a_letter_and_as_a_slash(slash: str) -> None:
    """One price for both readings is a price; two are none."""
    path, models = f"/v1/models/acme{slash}big/tune", price("models", "*", "/v1/models/*")
    acme = price("acme", "*", "/v1/models/acme/*")

    assert row(pricing(models).of("POST", path, Asked("m"), 1)) == "models"
    with pytest.raises(AmbiguousRequestError):
        pricing(models, acme).of("POST", path, Asked("m"), 1)
    assert row(pricing(models).of("GET", path, None, 0)) == "FREE"


@pytest.mark.parametrize(
    "path",
    ["/v1/x/chat%2Fcompletions", "/v1/x%2fruns", "/v1/audio%2fspeech", "/v1/x/images%252Fedits"],
)
def test_an_encoded_slash_makes_no_other_endpoint(path: str) -> None:
    """What is read of such a request would depend on the reading; one that is free has none."""
    for asked in (None, read_request(path, "application/json", b'{"model":"m"}')):
        with pytest.raises(AmbiguousRequestError):
            pricing(ANY, default=True).of("POST", path, asked, 1)
    assert row(pricing(ANY, default=True).of("GET", path, None, 0)) == "FREE"


def test_a_path_without_a_common_reading_is_refused() -> None:
    with pytest.raises(AmbiguousRequestError):
        pricing(ANY, default=True).of("POST", "/v1/%ff", Asked("m"), 1)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("path", ["/v1/things/%ff", "/v1/things/a%00b"])
def test_what_is_free_is_so_without_a_common_reading(method: str, path: str) -> None:
    for rows in ((), (ANY, GPT, FILES)):
        assert row(pricing(*rows, default=True).of(method, path, None, 0)) == "FREE"


def test_a_price_of_each_reading_is_not_evaded() -> None:
    with pytest.raises(AmbiguousRequestError):
        pricing(FILES).of("GET", "/v1/File%73/1", None, 0)
    with pytest.raises(AmbiguousRequestError):
        pricing(FILES).of("GET", "/v1/files/%ff", None, 0)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/batches",
        "/v1/Batche%73",
        "/v1/messages/batches",
        "/v1/videos",
        "/v1/videos/v_1/remix",
        "/v1/threads/t_1/runs",
        "/v1/evals/e_1/runs",
        "/v1/fine_tuning/jobs",
        "/v1/realtime/client_secrets",
    ],
)
def test_work_whose_usage_nobody_tells_has_a_price_of_requests_or_none(path: str) -> None:
    """Its answer comes with another request: by tokens it would cost next to nothing."""
    asked = read_request(path, "application/json", b'{"model":"m"}')
    job, mixed = Rates(request=5), Rates(input=1, output=1, request=5)
    for rates in (TOKENS, mixed, Rates(image=1), Rates(second=1)):
        row_of_it = price("p", "*", "/v1/*", rates)
        for request in (asked, None):
            result = pricing(row_of_it, default=True).of("POST", path, request, 9)
            assert row(result) == "NOT_PRICED"
    priced = pricing(price("p", "m", "*", job)).of("POST", path, asked, 9)
    assert isinstance(priced, Priced)
    assert (priced.hold, priced.price.rates) == (5, job)
    free = pricing(price("p", "m", "*", Rates(request=0))).of("POST", path, asked, 9)
    assert row(free) == "FREE"


def test_seconds_that_the_answer_would_not_tell_are_refused() -> None:
    path, subtitles = "/v1/audio/transcriptions", Asked("m", tells_seconds=False)
    seconds = pricing(price("p", "*", path, Rates(second=1)))
    with pytest.raises(AmbiguousRequestError):
        seconds.of("POST", path, subtitles, 9)
    assert row(seconds.of("POST", path, Asked("m"), 9)) == "p"
    requests = pricing(price("p", "*", path, Rates(request=1)))
    assert row(requests.of("POST", path, subtitles, 9)) == "p"


def held(request: Asked | None, *, full: bool = False, size: int = 0, rates: Rates = TOKENS) -> int:
    result = pricing(price("p", "*", "/v1/x", rates), full=full).of("POST", "/v1/x", request, size)
    assert isinstance(result, Priced)
    return result.hold


def test_what_is_held() -> None:
    # 3 nano-credits a token of the request, 10 a token of the answer.
    assert held(Asked(input_bytes=300)) == 300 + 10_000
    assert held(Asked(input_bytes=300, output_tokens=7)) == 300 + 70
    assert held(Asked(input_bytes=300, output_tokens=70_000)) == 300 + 10_000
    assert held(Asked(input_bytes=300, output_tokens=70_000), full=True) == 300 + 700_000
    assert held(Asked(input_bytes=300), full=True) == 300 + 10_000
    assert held(Asked(output_tokens=5_000, choices=3)) == 30_000
    assert held(None, size=3_000) == 3_000 + 10_000


def test_what_is_held_for_images() -> None:
    assert held(Asked(images=4), rates=Rates(image=100, request=1)) == 401
    upload = pricing(IMAGES, price("i", "*", "/v1/images/*", Rates(image=100, request=1)))
    result = upload.of("POST", "/v1/images/edits", None, 10**8)
    assert isinstance(result, Priced)
    assert result.hold == 101
