"""A usage that is read in one step is what the meter makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.metering.plain import plain_counts
from keyauthority.pricing.meter import Meter

COUNTS = st.integers(0, 10**12) | st.integers(0, 20)
ODD = COUNTS | st.sampled_from([-1, 1.0, 1.5, True, None, "2", 10**13])
PARTS = st.none() | st.dictionaries(
    st.sampled_from(
        [
            "cached_tokens",
            "cache_write_tokens",
            "cache_creation_tokens",
            "audio_tokens",
            "image_tokens",
            "text_tokens",
            "reasoning_tokens",
            "accepted_prediction_tokens",
        ]
    ),
    ODD,
)
USAGES = st.fixed_dictionaries(
    {"prompt_tokens": ODD, "completion_tokens": ODD, "total_tokens": ODD},
    optional={
        "prompt_tokens_details": PARTS,
        "completion_tokens_details": PARTS,
        "input_tokens": COUNTS,
        "cached_tokens": COUNTS,
        "prompt_audio_seconds": COUNTS,
        "queue_time": st.just(0.5),
    },
)


def general(usage: object) -> tuple[dict[str, int], bool]:
    meter = Meter()
    meter.read({"usage": usage})
    assert meter.usage is not None
    return meter.usage.counts, meter.final


@settings(deadline=None)
@given(USAGES)
def test_a_plain_counts_is_read_as_any_other(usage: dict[str, Any]) -> None:
    """It is taken at once only if that comes to the same."""
    taken = plain_counts(json.dumps({"id": "x", "usage": usage}).encode())
    if taken is not None:
        assert (taken, True) == general(usage)


@pytest.mark.parametrize("prompt", [0, 9, 10**12, -1, 1.0, True, None, 10**13])
@pytest.mark.parametrize("completion", [0, 160, 1.5, "2"])
@pytest.mark.parametrize("total", [0, 9, 169, 623, -2, False])
def test_what_most_answers_tell_is_plain(prompt: Any, completion: Any, total: Any) -> None:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    for parts in ({}, {"prompt_tokens_details": {"cached_tokens": 4, "other": 1}}):
        taken = plain_counts(json.dumps({"usage": {**usage, **parts}}).encode())
        if any(type(one) is not int or not 0 <= one <= 10**12 for one in usage.values()):
            assert taken is None
        else:
            assert (taken, True) == general({**usage, **parts})


USED = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"usage": None},
        {"usage": {"total_tokens": 1}},
        {"usage": {**USED, "iterations": []}},
        {"usage": {**USED, "seconds": 1}},
        {"usage": USED, "meta": {"billed_units": {"input_tokens": 50}}},
        {"usage": USED, "output": [{"type": "image_generation_call"}]},
        [{"usage": USED}],
        "usage",
    ],
)
def test_what_may_mean_more_is_left_to_the_meter(answer: object) -> None:
    assert plain_counts(json.dumps(answer).encode()) is None


def test_what_is_no_json_tells_nothing() -> None:
    for text in (b"", b"{", b"\xff", b'{"usage":' + json.dumps(USED).encode()):
        assert plain_counts(text) is None
