"""Usage is read from every shape of answer, and each token is in one class."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyauthority.pricing.meter import Meter
from keyauthority.pricing.usage import Usage, divided

COUNT = st.integers(0, 10**9)

VECTORS: dict[str, tuple[list[Any], Usage | None]] = {
    "chat completion": (
        [
            {
                "object": "chat.completion",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}],
                "usage": {
                    "prompt_tokens": 1117,
                    "completion_tokens": 46,
                    "total_tokens": 1163,
                    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
                    "completion_tokens_details": {
                        "reasoning_tokens": 20,
                        "audio_tokens": 0,
                        "accepted_prediction_tokens": 0,
                        "rejected_prediction_tokens": 6,
                    },
                },
            }
        ],
        Usage(input=93, cached_input=1024, output=26, reasoning=20),
    ),
    "chat with audio both ways": (
        [
            {
                "usage": {
                    "prompt_tokens": 100,
                    "completion_tokens": 60,
                    "prompt_tokens_details": {"audio_tokens": 40, "cached_tokens": 10},
                    "completion_tokens_details": {"audio_tokens": 50, "reasoning_tokens": 0},
                }
            }
        ],
        Usage(input=50, cached_input=10, audio_input=40, output=10, audio_output=50),
    ),
    "messages of Anthropic, made shorter on the way": (
        [
            {
                "usage": {
                    "input_tokens": 45,
                    "output_tokens": 1234,
                    "iterations": [
                        {"type": "compaction", "input_tokens": 180000, "output_tokens": 3500},
                        {"type": "message", "input_tokens": 23000, "output_tokens": 1000},
                    ],
                }
            }
        ],
        Usage(input=203_000, output=4_500),
    ),
    "messages of Anthropic, iterations within the total": (
        [
            {
                "usage": {
                    "input_tokens": 45,
                    "output_tokens": 12,
                    "iterations": [{"input_tokens": 45}],
                }
            }
        ],
        Usage(input=45, output=12),
    ),
    "audio that stands in the total alone, of Mistral": (
        [
            {
                "usage": {
                    "prompt_audio_seconds": 203,
                    "prompt_tokens": 4,
                    "completion_tokens": 635,
                    "total_tokens": 3264,
                }
            }
        ],
        Usage(input=4, audio_input=2625, output=635, milliseconds=203_000),
    ),
    "rerank of Cohere": (
        [{"results": [], "meta": {"billed_units": {"search_units": 1, "input_tokens": 7.0}}}],
        Usage(input=7),
    ),
    "chat of Cohere": (
        [{"usage": {"billed_units": {"input_tokens": 5, "output_tokens": 7}, "tokens": {}}}],
        Usage(input=5, output=7),
    ),
    "images that a tool made": (
        [
            {
                "output": [{"type": "image_generation_call"}, {"type": "message"}],
                "usage": {"input_tokens": 5, "output_tokens": 7},
            }
        ],
        Usage(input=5, output=7, images=1),
    ),
    "stream of chat, usage in the last chunk": (
        [
            {"choices": [{"delta": {"content": "H"}}], "usage": None},
            {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}},
        ],
        Usage(input=9, output=2),
    ),
    "stream that counts on": (
        [{"usage": {"prompt_tokens": 9, "completion_tokens": n}} for n in (1, 2, 3)],
        Usage(input=9, output=3),
    ),
    "responses": (
        [
            {
                "object": "response",
                "usage": {
                    "input_tokens": 328,
                    "input_tokens_details": {"cached_tokens": 128},
                    "output_tokens": 52,
                    "output_tokens_details": {"reasoning_tokens": 32},
                    "total_tokens": 380,
                },
            }
        ],
        Usage(input=200, cached_input=128, output=20, reasoning=32),
    ),
    **{
        f"stream of responses that ends {end}": (
            [
                {"type": "response.created", "response": {"usage": None}},
                {
                    "type": f"response.{end}",
                    "response": {"usage": {"input_tokens": 5, "output_tokens": 7}},
                },
            ],
            Usage(input=5, output=7),
        )
        for end in ("completed", "incomplete", "failed")
    },
    "embeddings": (
        [
            {
                "object": "list",
                "data": [{"object": "embedding", "embedding": [0.1]}],
                "usage": {"prompt_tokens": 8, "total_tokens": 8},
            }
        ],
        Usage(input=8),
    ),
    "rerank that tells the total alone": ([{"usage": {"total_tokens": 15}}], Usage(input=15)),
    "images by tokens": (
        [
            {
                "data": [{"b64_json": "aGk="}],
                "usage": {
                    "input_tokens": 50,
                    "output_tokens": 1056,
                    "total_tokens": 1106,
                    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                },
            }
        ],
        Usage(input=10, image_input=40, output=1056, images=1),
    ),
    "images without usage": (
        [{"created": 1, "data": [{"url": "https://img.example/1"}, {"b64_json": "aGk="}]}],
        None,
    ),
    "stream of images": (
        [
            {"type": "image_generation.partial_image", "b64_json": "aA=="},
            *[
                {
                    "type": "image_generation.completed",
                    "b64_json": "aGk=",
                    "usage": {"input_tokens": 50, "output_tokens": 100 * n, "total_tokens": 150},
                }
                for n in (1, 2)
            ],
        ],
        Usage(input=50, output=200, images=2),
    ),
    "transcription by tokens": (
        [
            {
                "text": "Hi",
                "usage": {
                    "type": "tokens",
                    "input_tokens": 14,
                    "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
                    "output_tokens": 45,
                    "total_tokens": 59,
                },
            }
        ],
        Usage(input=4, audio_input=10, output=45),
    ),
    "transcription by its length": (
        [{"text": "Hi", "usage": {"type": "duration", "seconds": 9.5}}],
        Usage(milliseconds=9500),
    ),
    "message of Anthropic": (
        [
            {
                "type": "message",
                "usage": {
                    "input_tokens": 21,
                    "cache_creation_input_tokens": 188,
                    "cache_read_input_tokens": 2000,
                    "output_tokens": 393,
                },
            }
        ],
        Usage(input=21, cached_input=2000, cache_write=188, output=393),
    ),
    "stream of Anthropic": (
        [
            {
                "type": "message_start",
                "message": {
                    "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1}
                },
            },
            {"type": "message_delta", "usage": {"output_tokens": 15}},
            {"type": "message_stop"},
        ],
        Usage(input=25, cached_input=5, output=15),
    ),
    "reasoning beside the answer's tokens": (
        [
            {
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 4,
                    "total_tokens": 114,
                    "completion_tokens_details": {"reasoning_tokens": 100},
                }
            }
        ],
        Usage(input=10, output=4, reasoning=100),
    ),
    "reasoning larger than the answer, and no total": (
        [
            {
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 4,
                    "completion_tokens_details": {"reasoning_tokens": 100},
                }
            }
        ],
        Usage(input=10, output=4, reasoning=100),
    ),
    "tokens that only the total counts": (
        [{"usage": {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}}],
        Usage(input=20, output=603),
    ),
    "tokens that only the total counts, of which the reasoning is told": (
        [
            {
                "usage": {
                    "prompt_tokens": 20,
                    "completion_tokens": 198,
                    "total_tokens": 623,
                    "completion_tokens_details": {"reasoning_tokens": 405},
                }
            }
        ],
        Usage(input=20, output=198, reasoning=405),
    ),
    "LiteLLM: the cache inside the prompt, told twice": (
        [
            {
                "usage": {
                    "prompt_tokens": 2209,
                    "completion_tokens": 393,
                    "total_tokens": 2602,
                    "prompt_tokens_details": {"cached_tokens": 2000},
                    "cache_read_input_tokens": 2000,
                    "cache_creation_input_tokens": 188,
                }
            }
        ],
        Usage(input=21, cached_input=2000, cache_write=188, output=393),
    ),
    "the cache inside, by the details": (
        [
            {
                "usage": {
                    "input_tokens": 100,
                    "input_tokens_details": {"cached_tokens": 80},
                    "cache_read_input_tokens": 80,
                    "output_tokens": 1,
                }
            }
        ],
        Usage(input=20, cached_input=80, output=1),
    ),
    "the cache beside, and in the total": (
        [
            {
                "usage": {
                    "input_tokens": 21,
                    "cache_read_input_tokens": 2000,
                    "output_tokens": 3,
                    "total_tokens": 2024,
                }
            }
        ],
        Usage(input=21, cached_input=2000, output=3),
    ),
    "DeepSeek": (
        [
            {
                "usage": {
                    "prompt_tokens": 100,
                    "prompt_cache_hit_tokens": 64,
                    "prompt_cache_miss_tokens": 36,
                    "completion_tokens": 5,
                }
            }
        ],
        Usage(input=36, cached_input=64, output=5),
    ),
    "Moonshot": (
        [{"usage": {"prompt_tokens": 100, "cached_tokens": 64, "completion_tokens": 5}}],
        Usage(input=36, cached_input=64, output=5),
    ),
    "nothing used": ([{"usage": {"prompt_tokens": 0, "completion_tokens": 0}}], Usage()),
    "whole numbers with a decimal point": (
        [{"usage": {"prompt_tokens": 12.0, "completion_tokens": 3.0}}],
        Usage(input=12, output=3),
    ),
    "no usage": ([{"choices": [{"text": "Hi"}]}], None),
    "usage of something else": ([{"usage": {"cost": 12, "queue_time": 1}}], None),
    "usage that is no object": ([{"usage": 12}, {"usage": [1]}, [], "x", None, 5], None),
    "numbers that are none": (
        [{"usage": {"prompt_tokens": True, "completion_tokens": -1, "total_tokens": "9"}}],
        None,
    ),
    "numbers that nobody can mean": (
        [
            {"usage": {"prompt_tokens": 10**13, "seconds": seconds}}
            for seconds in (float("inf"), float("nan"), 1.8e306, 10**400, True, -1, "9")
        ],
        None,
    ),
}


@pytest.mark.parametrize(("events", "usage"), VECTORS.values(), ids=VECTORS.keys())
def test_usage_is_read(events: list[Any], usage: Usage | None) -> None:
    meter = Meter()
    for event in events:
        meter.read(event)

    assert meter.usage == usage


def test_images_are_counted_without_a_usage() -> None:
    meter = Meter()

    assert not meter.read({"data": [{"url": "https://img.example/1"}, {"b64_json": "aGk="}]})
    assert (meter.images, meter.usage) == (2, None)


_START = {"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 2}


@pytest.mark.parametrize(
    ("events", "final"),
    [
        ([], False),
        ([_START], False),
        ([_START, {"type": "message_delta", "usage": {"output_tokens": 15}}], True),
        ([{"choices": [{"message": {"content": "Hi"}}], "usage": _USAGE}], True),
        ([{"choices": [], "usage": _USAGE}], True),
        ([{"choices": [{"delta": {"content": "H"}}], "usage": _USAGE}], False),
        ([{"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": _USAGE}], True),
        ([{"type": "response.in_progress", "response": {"usage": _USAGE}}], False),
        ([{"type": "response.completed", "response": {"usage": _USAGE}}], True),
        ([{"type": "response.incomplete", "response": {"usage": _USAGE}}], True),
        ([{"type": "response.failed", "response": {"usage": _USAGE}}], True),
        ([{"type": "response.completed", "response": {"usage": None}}], False),
    ],
)
def test_a_usage_is_final_or_counts_on(events: list[Any], final: bool) -> None:
    meter = Meter()
    for event in events:
        meter.read(event)

    assert meter.final is final


@given(COUNT, COUNT, st.lists(COUNT, min_size=6, max_size=6))
def test_the_classes_add_up_to_the_totals(total_in: int, total_out: int, parts: list[int]) -> None:
    """Whatever an upstream says of the parts, and none is below zero."""
    cached, written, audio, image, reasoning, spoken = parts
    usage = divided(
        total_in,
        total_out,
        cached_input=cached,
        cache_write=written,
        audio_input=audio,
        image_input=image,
        reasoning=reasoning,
        audio_output=spoken,
    )

    assert (usage.input_tokens, usage.output_tokens) == (total_in, total_out)
    assert min(usage.input, usage.image_input, usage.output, usage.audio_output) >= 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["usage", "response", "prompt_tokens", "total_tokens", "seconds", "data"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4))
def test_no_answer_breaks_the_meter(events: list[Any]) -> None:
    meter = Meter()
    for event in events:
        meter.read(event)

    usage = meter.usage
    assert usage is None or min(usage.input_tokens, usage.output_tokens, usage.milliseconds) >= 0
