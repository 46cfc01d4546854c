"""The usage of most JSON answers and streams, read in one step."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from gateway.metering.members import JSON_ERRORS
from keyauthority.pricing.meter import LARGEST_COUNT
from keyauthority.pricing.usage import divided

_Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_COUNT)]


class _InputParts(msgspec.Struct, gc=False):
    cached_tokens: _Count = 0
    cache_write_tokens: _Count = 0
    cache_creation_tokens: _Count = 0
    audio_tokens: _Count = 0
    image_tokens: _Count = 0


class _OutputParts(msgspec.Struct, gc=False):
    reasoning_tokens: _Count = 0
    audio_tokens: _Count = 0


# Another member may be of another API, or change what the totals mean.
class _Usage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    prompt_tokens: _Count
    total_tokens: _Count
    completion_tokens: _Count = 0
    prompt_tokens_details: _InputParts | None = None
    completion_tokens_details: _OutputParts | None = None


class _Answer(msgspec.Struct, gc=False):
    usage: _Usage
    # What else tells a usage, or brings images.
    meta: None = None
    output: None = None


class _Chunk(msgspec.Struct, gc=False):
    # That which asking for usage brings.
    usage: _Usage
    choices: Annotated[list[None], msgspec.Meta(max_length=0)]
    # What else tells a usage, brings text or images, or says that it is something else.
    type: None = None
    delta: None = None
    meta: None = None
    data: None = None
    output: None = None
    response: None = None
    message: None = None


_decode: Final = msgspec.json.Decoder(_Answer).decode
_decode_chunk: Final = msgspec.json.Decoder(_Chunk).decode
_NO_INPUT_PARTS: Final = _InputParts()
_NO_OUTPUT_PARTS: Final = _OutputParts()


def plain_counts(answer: bytes) -> dict[str, int] | None:
    """Returns the tokens, by class, of a JSON answer without images that tells them as completions do.

    They are what a `Meter` makes of it, in a tenth of the time. None: it has to be read by that.
    """
    try:
        return _counts(_decode(answer).usage)
    except JSON_ERRORS:
        return None


def plain_counts_of_stream(chunk: bytes) -> dict[str, int] | None:
    """Returns the same of a stream, by the JSON of the chunk that tells its usage and nothing else."""
    try:
        return _counts(_decode_chunk(chunk).usage)
    except JSON_ERRORS:
        return None


def _counts(told: _Usage) -> dict[str, int]:
    prompt = told.prompt_tokens
    # Some leave what was thought out of the answer's tokens, not out of the total.
    output = max(told.completion_tokens, told.total_tokens - prompt)
    inputs = told.prompt_tokens_details or _NO_INPUT_PARTS
    outputs = told.completion_tokens_details or _NO_OUTPUT_PARTS
    if inputs == _NO_INPUT_PARTS and outputs == _NO_OUTPUT_PARTS:
        counts = {"input": prompt, "output": output}
        return counts if prompt and output else {name: n for name, n in counts.items() if n}
    if outputs.reasoning_tokens > told.completion_tokens:
        output = max(output, told.completion_tokens + outputs.reasoning_tokens)
    return divided(
        prompt,
        output,
        cached_input=inputs.cached_tokens,
        cache_write=max(inputs.cache_write_tokens, inputs.cache_creation_tokens),
        audio_input=inputs.audio_tokens,
        image_input=inputs.image_tokens,
        reasoning=outputs.reasoning_tokens,
        audio_output=outputs.audio_tokens,
    ).counts
