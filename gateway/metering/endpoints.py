"""Which endpoint a path is, by all the readings that a path has."""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache, partial
from typing import Final, NamedTuple

from keyauthority.edge.paths import canonical

_JOBS: Final = frozenset(
    {"batches", "videos", "runs", "fine_tuning", "fine-tuning", "realtime", "jobs"}
)
_LONGEST_REMEMBERED: Final = 256
"""Letters of a path: clients choose it, and may not fill the memory."""

_merged = partial(re.compile("%(?:25)*2f", re.IGNORECASE).sub, "_")
"""Takes each encoded slash of a path for a letter."""


class Endpoint(Enum):
    """The endpoints that the meter treats in a way of their own."""

    CHAT = auto()
    COMPLETIONS = auto()
    IMAGES = auto()
    SPEECH = auto()
    JOB = auto()
    """Sets work going whose usage no answer to this request tells: batches, videos, runs of assistants
    and evaluations, fine-tuning, and secrets for real-time sessions."""
    OTHER = auto()


class Target(NamedTuple):
    """Where a request goes."""

    endpoint: Endpoint
    path: str | None
    """The path that stands for all readings; None if they have no common one."""
    is_certain: bool
    """Whether it is the same endpoint for servers that take an encoded slash for a letter."""


def target_of(path: str) -> Target:
    """Returns where a request with the raw *path* goes."""
    return _target_again(path) if len(path) <= _LONGEST_REMEMBERED else _target(path)


def _target(path: str) -> Target:
    segments = canonical(path)
    if segments is None:
        return Target(Endpoint.OTHER, None, is_certain=True)
    endpoint, unsplit = _endpoint(segments), _merged(path)
    is_certain = unsplit == path or _endpoint(canonical(unsplit) or ()) is endpoint
    return Target(endpoint, "/" + "/".join(segments), is_certain)


_target_again: Final = lru_cache(1024)(_target)


def _endpoint(segments: tuple[str, ...]) -> Endpoint:
    match segments:
        case (*_, "chat", "completions"):
            return Endpoint.CHAT
        case (*_, "completions"):
            return Endpoint.COMPLETIONS
        case (*_, "images", "generations" | "edits" | "variations"):
            return Endpoint.IMAGES
        case (*_, "audio", "speech"):
            return Endpoint.SPEECH
    return Endpoint.OTHER if _JOBS.isdisjoint(segments) else Endpoint.JOB
