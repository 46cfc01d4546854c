"""JSON answers are read at their end; of large ones, their end."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.metering import bodies
from gateway.metering.answer import AnswerReader
from keyauthority.pricing.usage import Usage

JSON = "application/json"
USED = {"prompt_tokens": 8, "total_tokens": 8}


def read(*chunks: bytes, kind: str = JSON, coding: str = "") -> AnswerReader:
    reader = AnswerReader(kind, coding, takes_usage_out=True)
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


@pytest.mark.parametrize("name", VECTORS)
def test_answers_of_the_documented_endpoints(name: str) -> None:
    answer, usage = VECTORS[name]
    reader = read(json.dumps(answer).encode())
    assert reader.meter.usage == usage
    assert reader.ended
    assert reader.images == (2 if name == "images" else 0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=8), st.sampled_from(sorted(VECTORS)))
def test_any_chunks_are_read_alike(cuts: list[int], name: str) -> None:
    text = b"\n " + json.dumps(VECTORS[name][0]).encode()
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    reader = read(*[text[a:b] for a, b in itertools.pairwise(places)])
    assert (reader.meter.usage, reader.ended, reader.relayed) == (
        VECTORS[name][1],
        True,
        0 if name == "images" else -(-len(text) // 3),
    )


def test_usage_beside_what_is_no_strict_json_is_read() -> None:
    reader = read(
        b'{"choices":[{"message":{"content":"\\ud83d"},"x":NaN}],"usage":{"total_tokens":7}}'
    )
    assert (reader.meter.usage, reader.ended) == (Usage(input=7), True)


def test_an_answer_that_breaks_off_tells_nothing() -> None:
    reader = read(json.dumps(VECTORS["chat"][0]).encode()[:-1])
    assert (reader.meter.usage, reader.ended) == (None, False)
    assert reader.relayed > 30


def test_pictures_of_an_answer_that_breaks_off_are_counted() -> None:
    text = b'{"data":[{"b64_json":"' + b"a" * 5_000 + b'"},{"b64_json":"aaa'
    reader = read(text)
    assert (reader.images, reader.relayed, reader.ended) == (2, 0, False)


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_of_a_large_answer_the_end_is_read(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGEST_WHOLE", 1_000)
    monkeypatch.setattr(bodies, "_TAIL", 200)
    pictures = [
        {"b64_json": "a" * length, "usage": {"total_tokens": 7}} for length in (150, 900, 2_000, 20)
    ]
    usage = {"input_tokens": 50, "output_tokens": 4, "total_tokens": 54}
    text = json.dumps(
        {"created": 1, "data": pictures, "usage": usage, "size": "1024x1024"}
    ).encode()
    reader = read(*[text[start : start + size] for start in range(0, len(text), size)])
    assert reader.meter.usage == Usage(input=50, output=4, images=4)
    assert (reader.images, reader.ended, reader.relayed) == (4, True, 0)


def test_a_usage_inside_a_large_answer_is_not_that_of_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "LARGEST_WHOLE", 100)
    reader = read(json.dumps({"x": "a" * 200, "data": [{"usage": USED}]}).encode())
    assert (reader.meter.usage, reader.ended) == (None, True)
    reader = read(json.dumps({"usage": USED, "x": "a" * 200})[:-1].encode())
    assert (reader.meter.usage, reader.ended) == (None, False)


def test_what_is_kept_of_a_large_answer_is_bounded() -> None:
    reader = bodies.JsonReader(AnswerReader(JSON).meter)
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
