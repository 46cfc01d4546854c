"""JSON answers are read at their end; of large ones, their end."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.metering import bodies
from gateway.metering.answer import answer_reader
from gateway.metering.endpoints import Endpoint
from gateway.metering.ends import BOUNDS, Bounds
from gateway.metering.reader import AnswerReader, is_coded
from keyauthority.pricing.meter import Meter
from keyauthority.pricing.usage import Usage

JSON = "application/json"
USED = {"prompt_tokens": 8, "total_tokens": 8}


def read(
    *chunks: bytes,
    kind: str = JSON,
    coding: str = "",
    place: Endpoint = Endpoint.OTHER,
    bounds: Bounds = BOUNDS,
) -> AnswerReader:
    reader = answer_reader(kind, coding, place=place, takes_usage_out=True, bounds=bounds)
    for chunk in chunks:
        assert reader.feed(chunk) is chunk
    assert reader.finish() == b""
    return reader


VECTORS: dict[str, tuple[dict[str, Any], Usage | None]] = {
    "chat": (
        {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
        },
        Usage(input=15, cached_input=4, output=7, reasoning=3),
    ),
    "responses": (
        {
            "object": "response",
            "usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12},
        },
        Usage(input=5, output=7),
    ),
    "embeddings": (
        {"object": "list", "data": [{"index": 0, "embedding": [0.5, -1e-3]}], "usage": USED},
        Usage(input=8),
    ),
    "images": (
        {"created": 1, "data": [{"url": "https://img.example/1"}, {"b64_json": "aGk="}]},
        None,
    ),
    "messages of Anthropic": (
        {
            "type": "message",
            "content": [{"type": "text", "text": "Hi"}],
            "usage": {
                "input_tokens": 5,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 20,
                "output_tokens": 7,
            },
        },
        Usage(input=5, cached_input=100, cache_write=20, output=7),
    ),
    "transcription": (
        {"text": "Hi", "usage": {"type": "duration", "seconds": 9.5}},
        Usage(milliseconds=9500),
    ),
    "zero": ({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}, Usage()),
    "nothing": ({"choices": []}, None),
    "data of another shape": ({"data": "x", "usage": USED}, Usage(input=8)),
}


def place_of(name: str) -> Endpoint:
    return Endpoint.IMAGES if name == "images" else Endpoint.OTHER


# Tokens, a third of the bytes that a model wrote.
WRITTEN = {"chat": 1, "messages of Anthropic": 1, "transcription": 1}


@pytest.mark.parametrize("name", VECTORS)
def test_answers_of_the_documented_endpoints(name: str) -> None:
    answer, usage = VECTORS[name]
    reader = read(json.dumps(answer).encode(), place=place_of(name))
    assert reader.meter.usage == usage
    assert reader.ended
    assert reader.images == (2 if name == "images" else 0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=8), st.sampled_from(sorted(VECTORS)))
def test_any_chunks_are_read_alike(cuts: list[int], name: str) -> None:
    text = b"\n " + json.dumps(VECTORS[name][0]).encode()
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    reader = read(*[text[a:b] for a, b in itertools.pairwise(places)], place=place_of(name))
    assert (reader.meter.usage, reader.ended, reader.relayed) == (
        VECTORS[name][1],
        True,
        WRITTEN.get(name, 0),
    )


def test_usage_beside_what_is_no_strict_json_is_read() -> None:
    reader = read(
        b'{"choices":[{"message":{"content":"\\ud83d"},"x":NaN}],"usage":{"total_tokens":7}}'
    )
    assert (reader.meter.usage, reader.ended) == (Usage(input=7), True)


def test_an_answer_that_breaks_off_tells_nothing() -> None:
    content = 'Grüße, "Welt"\n' * 20
    answer = {"choices": [{"message": {"role": "assistant", "content": content}}]}
    for ascii_only in (True, False):
        for last in (1, 4, 5):
            text = json.dumps(answer, ensure_ascii=ascii_only).encode()[:-last]
            reader = read(text)
            assert (reader.meter.usage, reader.ended) == (None, False)
            assert reader.relayed == -(-len(content.encode()) // 3)


def test_pictures_of_an_answer_that_breaks_off_are_counted() -> None:
    text = b'{"data":[{"b64_json":"' + b"a" * 5_000 + b'"},{"b64_json":"aaa'
    reader = read(text, place=Endpoint.IMAGES)
    assert (reader.images, reader.relayed, reader.ended) == (2, 0, False)


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_of_a_large_answer_the_end_is_read(size: int) -> None:
    bounds = Bounds(whole=1_000, end=200)
    pictures = [
        {"b64_json": "a" * length, "usage": {"total_tokens": 7}} for length in (150, 900, 2_000, 20)
    ]
    usage = {"input_tokens": 50, "output_tokens": 4, "total_tokens": 54}
    text = json.dumps(
        {"created": 1, "data": pictures, "usage": usage, "size": "1024x1024"}
    ).encode()
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    reader = read(*chunks, place=Endpoint.IMAGES, bounds=bounds)
    assert reader.meter.usage == Usage(input=50, output=4, images=4)
    assert (reader.images, reader.ended, reader.relayed) == (4, True, 0)


def test_a_usage_inside_a_large_answer_is_not_that_of_the_answer() -> None:
    bounds = Bounds(whole=100)
    reader = read(json.dumps({"x": "a" * 200, "data": [{"usage": USED}]}).encode(), bounds=bounds)
    assert (reader.meter.usage, reader.ended) == (None, True)
    for inner in ({"x": {"usage": USED}, "y": "a"}, {"x": "a" * 300, "y": [{"usage": USED}, 1]}):
        reader = read(json.dumps(inner).encode() + b" " * 200, bounds=bounds)
        assert (reader.meter.usage, reader.ended) == (None, True)


@pytest.mark.parametrize("cut", [0, 1, 150])
@pytest.mark.parametrize(
    "before", [{}, {"id": "x", "metadata": {"usage": "y", "a": [{"usage": 1}]}}]
)
def test_a_usage_at_the_start_is_read(cut: int, before: dict[str, Any]) -> None:
    text = json.dumps({**before, "usage": USED, "x": "a" * 2_000}).encode()
    for whole, end in ((2**20, 2**16), (1_000, 300)):
        bounds = Bounds(whole=whole, end=end)
        reader = read(
            *[text[start : start + 70] for start in range(0, len(text) - cut, 70)], bounds=bounds
        )
        assert reader.meter.usage == Usage(input=8)


METADATA: list[dict[str, Any]] = [
    {"usage": "x", "b64_json": "y"},
    {"usage": "x", "a": "b"},
    {f"usage{number}": '"usage":{}' for number in range(50)} | {"usage": "x"},
]


@pytest.mark.parametrize("metadata", METADATA)
@pytest.mark.parametrize("place", [Endpoint.CHAT, Endpoint.OTHER])
def test_what_a_client_has_in_the_answer_hides_no_usage(
    metadata: dict[str, Any], place: Endpoint
) -> None:
    tools = [{"type": "function", "name": "b64_json", "parameters": {"usage": {"usage": 1}}}]
    for whole in (2**20, 500):
        bounds = Bounds(whole=whole)
        answer = {
            "output": [{"type": "message", "content": [{"text": "a" * 900}]}],
            "usage": USED,
            "tools": tools,
            "metadata": metadata,
        }
        reader = read(json.dumps(answer).encode(), place=place, bounds=bounds)
        assert (reader.meter.usage, reader.images) == (Usage(input=8), 0)
        reader = read(json.dumps({**answer, "usage": None}).encode(), place=place, bounds=bounds)
        assert (reader.meter.usage, reader.images, reader.relayed) == (None, 0, 300)


def test_calls_of_a_tool_for_images_are_counted() -> None:
    calls = [{"type": "image_generation_call", "result": "QUJD" * 400}] * 2
    text = json.dumps({"output": calls, "usage": USED}).encode()
    assert read(text).images == 2
    bounds = Bounds(whole=1_000, end=100)
    assert (
        read(*[text[start : start + 90] for start in range(0, len(text), 90)], bounds=bounds).images
        == 2
    )


@pytest.mark.parametrize("end", [64, 300])
def test_text_of_a_large_answer_is_measured(end: int) -> None:
    bounds = Bounds(whole=1_000, end=end)
    answer = {
        "instructions": "i" * 3_000,
        "choices": [{"message": {"content": "a" * 9_000}, "logprobs": {"content": [0] * 900}}],
        "prompt_logprobs": [{"1": {"logprob": -1.5, "decoded_token": "b"}}] * 500,
        "audio": {"data": "QUJD" * 500},
        "images": [{"image_url": {"url": "data:image/png;base64," + "QUJD" * 500}}],
    }
    text = json.dumps(answer).encode()
    reader = read(*[text[start : start + 500] for start in range(0, len(text), 500)], bounds=bounds)
    assert (reader.meter.usage, reader.relayed) == (None, 3_000)


def test_a_json_answer_seems_of_no_size_until_it_is_finished() -> None:
    """It was made before: nothing more is held for it, and nobody is cut off who has less."""
    reader = answer_reader(JSON)
    reader.feed(b'{"choices":[{"message":{"content":"%b"}}],' % (b"a" * 9_000))
    assert (reader.relayed, reader.usage_due) == (0, True)
    reader.feed(b'"usage":{"prompt_tokens":8,"total_tokens":9}}')
    assert (reader.relayed, reader.usage_due) == (0, True)
    reader.finish()
    assert (reader.relayed, reader.usage_due, reader.meter.final) == (3_000, False, True)


def test_what_is_kept_of_a_large_answer_is_bounded() -> None:
    reader = bodies.JsonReader(Meter(), BOUNDS, Endpoint.OTHER)
    for _ in range(200):
        reader.feed(b"a" * 65_536)
    assert sum(map(len, reader._kept)) < 2**20
    assert reader.size == 200 * 65_536


def test_other_answers_pass_unread() -> None:
    answer = json.dumps(VECTORS["chat"][0]).encode()
    for reader in (
        read(answer, coding="br"),
        read(b"ID3" + answer, kind="audio/mpeg"),
        read(kind="audio/mpeg"),
    ):
        assert (reader.meter.usage, reader.relayed, reader.ended, reader.images) == (
            None,
            0,
            False,
            0,
        )
    assert read(answer, kind="text/plain", coding="identity").meter.usage is not None


@pytest.mark.parametrize(
    ("coding", "coded"),
    [("", False), ("identity", False), (" Identity", False), ("gzip", True), ("gzip, br", True)],
)
def test_which_bodies_are_coded(coding: str, coded: bool) -> None:
    assert is_coded(coding) is coded


def test_text_is_measured_by_its_size() -> None:
    reader = answer_reader("text/vtt")
    reader.feed(b"WEBVTT\n\n")
    reader.feed(b"Hello")
    assert (reader.relayed, reader.usage_due) == (5, False)
    assert read(b"Hello", kind="application/pdf").relayed == 0


def test_events_of_another_type_are_read() -> None:
    text = b'data: {"choices":[{"delta":{"content":"abc"}}],"usage":{"prompt_tokens":8}}\n\n'
    reader = read(text, kind="text/plain")
    assert (reader.meter.usage, reader.relayed) == (Usage(input=8), 1)
