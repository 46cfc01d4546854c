"""Which endpoint a path is, by all the readings that a path has."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from gateway.paths import canonical

_JOBS: Final = frozenset(
    {"batches", "videos", "runs", "fine_tuning", "fine-tuning", "realtime", "jobs"}
)


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


def endpoint(path: str) -> Endpoint:
    """Returns which endpoint the raw *path* is."""
    segments = canonical(path)
    match segments:
        case (*_, "chat", "completions"):
            return Endpoint.CHAT
        case (*_, "completions"):
            return Endpoint.COMPLETIONS
        case (*_, "images", "generations" | "edits" | "variations"):
            return Endpoint.IMAGES
        case (*_, "audio", "speech"):
            return Endpoint.SPEECH
    return Endpoint.OTHER if segments is None or _JOBS.isdisjoint(segments) else Endpoint.JOB
