"""What a request used: counts that each token, image, second and character is in once."""

from __future__ import annotations

from typing import NamedTuple


class Usage(NamedTuple):
    """Tokens by class, and what is not counted in tokens.

    The classes don't overlap: the first five add up to all tokens of the request, the next three to
    all of the answer. `milliseconds` are those of audio.
    """

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    audio_input: int = 0
    image_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0
    images: int = 0
    milliseconds: int = 0
    characters: int = 0

    @property
    def input_tokens(self) -> int:
        """All tokens of the request."""
        return (
            self.input + self.cached_input + self.cache_write + self.audio_input + self.image_input
        )

    @property
    def output_tokens(self) -> int:
        """All tokens of the answer."""
        return self.output + self.reasoning + self.audio_output

    @property
    def counts(self) -> dict[str, int]:
        """The counts by class, without what is zero."""
        return {name: count for name, count in zip(self._fields, self, strict=True) if count}


def divided(
    input_tokens: int,
    output_tokens: int,
    *,
    cached_input: int = 0,
    cache_write: int = 0,
    audio_input: int = 0,
    image_input: int = 0,
    reasoning: int = 0,
    audio_output: int = 0,
    images: int = 0,
    milliseconds: int = 0,
) -> Usage:
    """Returns totals divided into classes, where the classes are parts of the totals (OpenAI's shape).

    A class that says more than what is left of its total gets what is left, in the order of the
    parameters: so the classes add up to the totals whatever an upstream says. Images and milliseconds
    are parts of no total.
    """
    cached_input = min(cached_input, input_tokens)
    left = input_tokens - cached_input
    cache_write = min(cache_write, left)
    left -= cache_write
    audio_input = min(audio_input, left)
    left -= audio_input
    image_input = min(image_input, left)
    reasoning = min(reasoning, output_tokens)
    audio_output = min(audio_output, output_tokens - reasoning)
    return Usage(
        input=left - image_input,
        cached_input=cached_input,
        cache_write=cache_write,
        audio_input=audio_input,
        image_input=image_input,
        output=output_tokens - reasoning - audio_output,
        reasoning=reasoning,
        audio_output=audio_output,
        images=images,
        milliseconds=milliseconds,
    )
