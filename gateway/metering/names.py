"""The names that decide about money, in whatever way a request writes them."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import unquote_plus

from gateway.metering.members import NotPlainError

NAMES: Final = frozenset(
    {
        "model",
        "models",
        "fallbacks",
        "context_window_fallbacks",
        "content_policy_fallbacks",
        "stream",
        "stream_options",
        "include_usage",
        "input",
        "prompt",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "n",
        "best_of",
        "service_tier",
        "background",
        "response_format",
    }
)
_KNOWN: Final = NAMES.union(
    ("messages", "system", "instructions", "tools", "tool_choice", "parallel_tool_calls"),
    ("temperature", "top_p", "top_k", "seed", "stop", "frequency_penalty", "presence_penalty"),
    ("reasoning", "reasoning_effort", "logprobs", "top_logprobs", "user", "metadata", "store"),
)
"""The names of most requests, which need no look."""

_ROUNDS: Final = 3
"""Times that a name in a query may be encoded."""

_parameters = re.compile("[&;?]").split


def check_names(names: AbstractSet[str]) -> None:
    """Raises `NotPlainError` for a name that some reader takes for one of `NAMES`.

    Go's reader takes a name in any case, and in letters that some case makes equal; readers in C end it
    at a null.
    """
    if names <= _KNOWN:
        return
    for name in names - _KNOWN:
        plain = name.strip().casefold()
        if plain in NAMES:
            raise NotPlainError(f"the body writes {plain} in another way")
        if not name.isprintable():
            raise NotPlainError("a name in the body has control characters")


def check_query(query: str) -> None:
    """Raises `NotPlainError` if *query* names what decides: some upstreams prefer it to the body."""
    for parameter in _parameters(query):
        name = parameter
        for _ in range(_ROUNDS):
            name = unquote_plus(name)
        if plain_name(name.partition("=")[0]) in NAMES:
            raise NotPlainError("the query names what belongs into the body")


def plain_name(name: str) -> str:
    """Returns what forms and queries mean by *name*: `model` by `Model`, `model[]` and `model[0]`."""
    text = "".join(filter(str.isprintable, name))
    return text.partition("[")[0].strip().casefold()
