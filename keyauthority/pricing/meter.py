"""The meter: reads the usage out of answers and of the events of streams.

Known are the answers of OpenAI's chat completions, completions, responses, embeddings, images and
audio, of rerank, and of Anthropic's messages. What an upstream says of usage is cumulative: of several
numbers for the same, the largest counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from keyauthority.pricing.usage import Usage, divided

_LARGEST_COUNT: Final = 10**12
"""What is counted beyond it is not believed."""

# Totals and parts by the names that the APIs give them.
_INPUT: Final = ("prompt_tokens", "input_tokens")
_OUTPUT: Final = ("completion_tokens", "output_tokens")
_INPUT_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_OUTPUT_DETAILS: Final = (
    "completion_tokens_details",
    "output_tokens_details",
    "output_token_details",
)
_WRITTEN: Final = ("cache_write_tokens", "cache_creation_tokens")
_CACHE_READ: Final = "cache_read_input_tokens"
_CACHE_WRITE: Final = "cache_creation_input_tokens"
_TOTALS: Final = frozenset({*_INPUT, *_OUTPUT, "total_tokens", _CACHE_READ, _CACHE_WRITE})
_DETAILS: Final = frozenset(_INPUT_DETAILS + _OUTPUT_DETAILS)
# Where the object with the usage stands: in the answer itself; in the terminal events of a
# responses stream; in the first event of a messages stream.
_HOLDERS: Final = ("response", "message")

Counts = dict[tuple[str, ...], int]


class Meter:
    """Reads what one request used, from its answer or from the events of its stream."""

    def __init__(self) -> None:
        self._counts: Counts = {}
        self._images = 0

    def read(self, answer: object) -> bool:
        """Takes a JSON value: an answer or one event of a stream. Returns whether it told a usage."""
        if not isinstance(answer, Mapping):
            return False
        self._images = max(self._images, _images(answer))
        told = False
        for holder in (answer, *(answer.get(name) for name in _HOLDERS)):
            usage = holder.get("usage") if isinstance(holder, Mapping) else None
            if isinstance(usage, Mapping):
                counts: Counts = {}
                _collect(usage, counts)
                for name, count in counts.items():
                    self._counts[name] = max(count, self._counts.get(name, 0))
                told = told or bool(counts)
        return told

    @property
    def usage(self) -> Usage | None:
        """What was used, as far as it was told; None if nothing of it was. Zero is not None."""
        if not self._counts and not self._images:
            return None
        counts = self._counts
        output = _first(counts, _OUTPUT)
        reasoning = _part(counts, _OUTPUT_DETAILS, ("reasoning_tokens",))
        total = counts.get(("total_tokens",), 0)
        input_tokens = _first(counts, _INPUT)
        if not any((name,) in counts for name in _INPUT):
            # Some tell of embeddings and reranks the total alone.
            input_tokens = max(total - output, 0)
        elif reasoning and total == input_tokens + output + reasoning:
            # Some count reasoning beside the answer's tokens, not inside.
            output += reasoning
        cached = _part(counts, _INPUT_DETAILS, ("cached_tokens",))
        written = _part(counts, _INPUT_DETAILS, _WRITTEN)
        # Anthropic counts these beside the others.
        beside_read = counts.get((_CACHE_READ,), 0)
        beside_written = counts.get((_CACHE_WRITE,), 0)
        usage = divided(
            input_tokens + beside_read + beside_written,
            output,
            cached_input=cached + beside_read,
            cache_write=written + beside_written,
            audio_input=_part(counts, _INPUT_DETAILS, ("audio_tokens",)),
            image_input=_part(counts, _INPUT_DETAILS, ("image_tokens",)),
            reasoning=reasoning,
            audio_output=_part(counts, _OUTPUT_DETAILS, ("audio_tokens",)),
        )
        return replace(usage, images=self._images, milliseconds=counts.get(("seconds",), 0))


def _collect(usage: Mapping[Any, Any], counts: Counts) -> None:
    # Known numbers by their path of names. `seconds` may have decimals and is kept in milliseconds.
    for name, value in usage.items():
        if name in _TOTALS:
            _keep(counts, (name,), value)
        elif name == "seconds" and isinstance(value, int | float):
            _keep(counts, (name,), round(value * 1000) if math.isfinite(value) else None)
        elif name in _DETAILS and isinstance(value, Mapping):
            for part, count in value.items():
                _keep(counts, (name, str(part)), count)


def _keep(counts: Counts, name: tuple[str, ...], count: object) -> None:
    # Some write whole numbers as 12.0. A truth value is an int to Python, but no count.
    if isinstance(count, float) and count.is_integer():
        count = int(count)
    if type(count) is int and 0 <= count <= _LARGEST_COUNT:
        counts[name] = count


def _first(counts: Counts, names: tuple[str, ...]) -> int:
    return max(counts.get((name,), 0) for name in names)


def _part(counts: Counts, details: tuple[str, ...], names: tuple[str, ...]) -> int:
    return max(counts.get((detail, name), 0) for detail in details for name in names)


def _images(answer: Mapping[Any, Any]) -> int:
    data = answer.get("data")
    if not isinstance(data, list):
        return 0
    pictures = ("b64_json", "url")
    return sum(isinstance(item, Mapping) and any(map(item.get, pictures)) for item in data)
