"""The meter: reads the usage out of answers and of the events of streams.

Known are the answers of OpenAI's chat completions, completions, responses, embeddings, images and
audio, of rerank, and of Anthropic's messages. What an upstream says of usage is cumulative: of several
numbers for the same, the largest counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from keyauthority.pricing.usage import Usage, divided

LARGEST_COUNT: Final = 10**12
"""What is counted beyond it is not believed."""
_LARGEST_SECONDS: Final = LARGEST_COUNT // 1000

# Totals and parts by the names that the APIs give them.
_INPUT: Final = ("prompt_tokens", "input_tokens")
_OUTPUT: Final = ("completion_tokens", "output_tokens")
# The objects that divide a total, by the total that they divide.
_DETAILS: Final = {
    "prompt_tokens_details": "input",
    "input_tokens_details": "input",
    "input_token_details": "input",
    "completion_tokens_details": "output",
    "output_tokens_details": "output",
    "output_token_details": "output",
}
_CACHED: Final = "input.cached_tokens"
_WRITTEN: Final = ("input.cache_write_tokens", "input.cache_creation_tokens")
_REASONING: Final = "output.reasoning_tokens"
# Beside the totals, but always inside the prompt: DeepSeek's and Moonshot's.
_CACHE_HITS: Final = ("prompt_cache_hit_tokens", "cached_tokens")
# Beside the totals: of Anthropic outside `input_tokens`, of others inside.
_CACHE_READ: Final = "cache_read_input_tokens"
_CACHE_WRITE: Final = "cache_creation_input_tokens"
_SECONDS: Final = ("seconds", "prompt_audio_seconds")
_TOTALS: Final = frozenset(
    {*_INPUT, *_OUTPUT, "total_tokens", *_CACHE_HITS, _CACHE_READ, _CACHE_WRITE}
)
# What many streams tell.
_PLAIN: Final = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
# Where the object with the usage stands: in the answer itself; in the terminal events of a
# responses stream; in the first event of a messages stream.
_HOLDERS: Final = ("response", "message")
# The events of a responses stream whose usage is that of the whole answer.
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed")

IMAGE_CALL: Final = "image_generation_call"
"""The type of what an answer holds for an image that a tool of the upstream made."""

_PICTURES: Final = ("b64_json", "url")

Counts = dict[str, int]
"""By the name of a total, or by that of a part after its side: `input.` or `output.`."""


class Meter:
    """Reads what one request used, from its answer or from the events of its stream."""

    def __init__(self) -> None:
        self.final = False
        """Whether a usage was that of the whole answer: that which a stream begins with is not."""
        self._counts: Counts = {}
        self._images = 0
        self._streamed_images = 0

    @property
    def images(self) -> int:
        """How many images the answer has, whether or not it tells a usage."""
        return max(self._images, self._streamed_images)

    def read(self, answer: object) -> bool:
        """Takes a JSON value: an answer or one event of a stream. Returns whether it told a usage."""
        if not isinstance(answer, dict):
            return False
        self._streamed_images += _is_image(answer)
        told = False
        for holder in (answer, *(answer.get(name) for name in _HOLDERS)):
            if not isinstance(holder, dict):
                continue
            self._images = max(self._images, _images(holder))
            for usage in (holder.get("usage"), _billed(holder)):
                if isinstance(usage, dict):
                    told = self._take(usage) or told
        self.final = self.final or (told and _is_last(answer))
        return told

    def _take(self, usage: Mapping[Any, Any]) -> bool:
        if not self._counts and _is_plain(usage):
            # What the rest would do, in a fifth of the time.
            self._counts = dict(usage)
            return True
        counts: Counts = {}
        _collect(usage, counts)
        for name, count in counts.items():
            self._counts[name] = max(count, self._counts.get(name, 0))
        return bool(counts)

    @property
    def usage(self) -> Usage | None:
        """What was used, as far as it was told; None if nothing of it was. Zero is not None.

        An answer of `images` that tells nothing else has none.
        """
        if not self._counts:
            return None
        counts = self._counts
        if counts.keys() == _PLAIN:
            prompt = counts["prompt_tokens"]
            output = max(counts["completion_tokens"], counts["total_tokens"] - prompt)
            return Usage(input=prompt, output=output, images=self.images)
        read_count, write_count = counts.get(_CACHE_READ, 0), counts.get(_CACHE_WRITE, 0)
        beside = read_count + write_count if _cache_is_beside(counts) else 0
        audio = _audio_in_total_alone(counts)
        input_tokens, output = _sides(counts, beside + audio)
        return divided(
            input_tokens + beside + audio,
            output,
            cached_input=max(counts.get(_CACHED, 0), _largest(counts, _CACHE_HITS), read_count),
            cache_write=max(_largest(counts, _WRITTEN), write_count),
            audio_input=max(counts.get("input.audio_tokens", 0), audio),
            image_input=counts.get("input.image_tokens", 0),
            reasoning=counts.get(_REASONING, 0),
            audio_output=counts.get("output.audio_tokens", 0),
            images=self.images,
            milliseconds=_largest(counts, _SECONDS),
        )


def _billed(answer: Mapping[Any, Any]) -> object:
    # What Cohere bills of reranks and embeddings.
    meta = answer.get("meta")
    return meta.get("billed_units") if isinstance(meta, dict) else None


def _is_plain(usage: Mapping[Any, Any]) -> bool:
    return usage.keys() == _PLAIN and all(
        type(count) is int and 0 <= count <= LARGEST_COUNT for count in usage.values()
    )


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _cache_is_beside(counts: Counts) -> bool:
    # Anthropic's `input_tokens` leave out the cache. Where there are `prompt_tokens`, or details name
    # the cache, or the total alone is told, they hold it.
    if "prompt_tokens" in counts or _CACHED in counts or any(name in counts for name in _WRITTEN):
        return False
    return "input_tokens" in counts or "total_tokens" not in counts


def _sides(counts: Counts, beside: int) -> tuple[int, int]:
    # All tokens of the request but those of the cache beside it, and all of the answer.
    output = completion = _largest(counts, _OUTPUT)
    reasoning = counts.get(_REASONING, 0)
    total = counts.get("total_tokens", 0)
    if any(name in counts for name in _INPUT):
        input_tokens = _largest(counts, _INPUT)
        # Some leave what was thought out of the answer's tokens, not out of the total.
        output += max(total - input_tokens - beside - output, 0)
    else:
        # Some tell of embeddings and reranks the total alone.
        input_tokens = max(total - output, 0)
    if reasoning > completion:
        output = max(output, completion + reasoning)
    return input_tokens, output


def _audio_in_total_alone(counts: Counts) -> int:
    # Mistral tells the seconds of audio, whose tokens stand in no number but the total.
    if not counts.get("prompt_audio_seconds") or "input.audio_tokens" in counts:
        return 0
    told = _largest(counts, _INPUT) + _largest(counts, _OUTPUT)
    return max(counts.get("total_tokens", 0) - told, 0)


def _is_last(event: Mapping[Any, Any]) -> bool:
    # Whether a usage in it is of the whole answer: not at the start, nor beside a piece of the answer.
    kind, choices = event.get("type"), event.get("choices")
    if kind == "message_start":
        return False
    if isinstance(kind, str) and kind.startswith("response."):
        return kind in _ENDS
    if isinstance(choices, list) and choices:
        pieces = [choice for choice in choices if isinstance(choice, dict) and "delta" in choice]
        return not pieces or any(piece.get("finish_reason") for piece in pieces)
    return True


def _collect(usage: Mapping[Any, Any], counts: Counts) -> None:
    # `seconds` may have decimals and is kept in milliseconds.
    for name, value in usage.items():
        if name in _TOTALS:
            _keep(counts, name, value)
        elif name in _SECONDS and type(value) in (int, float) and 0 <= value <= _LARGEST_SECONDS:
            counts[name] = round(value * 1000)
        elif name in _DETAILS and isinstance(value, dict):
            for part, count in value.items():
                _keep(counts, f"{_DETAILS[name]}.{part}", count)
        elif name == "billed_units" and isinstance(value, dict):
            _collect(value, counts)
        elif name == "iterations" and isinstance(value, list):
            _add_up(value, counts)


def _add_up(iterations: list[Any], counts: Counts) -> None:
    # Anthropic's: what was used on the way, such as to make a long request shorter, is not in the totals.
    sums: Counts = {}
    for iteration in filter(_is_mapping, iterations):
        each: Counts = {}
        _collect(iteration, each)
        for name, count in each.items():
            sums[name] = sums.get(name, 0) + count
    for name, count in sums.items():
        _keep(counts, name, count)


def _keep(counts: Counts, name: str, count: object) -> None:
    # Some write whole numbers as 12.0. A truth value is an int to Python, but no count.
    if isinstance(count, float) and count.is_integer():
        count = int(count)
    if type(count) is int and 0 <= count <= LARGEST_COUNT:
        counts[name] = max(count, counts.get(name, 0))


def _largest(counts: Counts, names: tuple[str, str]) -> int:
    first, second = names
    return max(counts.get(first, 0), counts.get(second, 0))


def _images(answer: Mapping[Any, Any]) -> int:
    # Those that it consists of, and those that a tool made.
    data, output = answer.get("data"), answer.get("output")
    count = 0
    if isinstance(data, list):
        count += sum(_is_mapping(item) and any(map(item.get, _PICTURES)) for item in data)
    if isinstance(output, list):
        count += sum(map(_is_image_call, output))
    return count


def _is_image(event: Mapping[Any, Any]) -> bool:
    # An image that a stream brings whole, after pieces of it.
    kind = event.get("type")
    if kind == "response.output_item.done":
        return _is_image_call(event.get("item"))
    return isinstance(kind, str) and kind.endswith(".completed") and bool(event.get("b64_json"))


def _is_image_call(item: object) -> bool:
    return isinstance(item, dict) and item.get("type") == IMAGE_CALL
