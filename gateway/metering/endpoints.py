"""Which endpoint a path is, by all the readings that a path has."""

from __future__ import annotations

from enum import Enum, auto

from gateway.paths import canonical


class Endpoint(Enum):
    """The endpoints that the meter treats in a way of their own."""

    CHAT = auto()
    COMPLETIONS = auto()
    IMAGES = auto()
    SPEECH = auto()
    OTHER = auto()


def endpoint(path: str) -> Endpoint:
    """Returns which endpoint the raw *path* is."""
    match canonical(path):
        case (*_, "chat", "completions"):
            return Endpoint.CHAT
        case (*_, "completions"):
            return Endpoint.COMPLETIONS
        case (*_, "images", "generations" | "edits" | "variations"):
            return Endpoint.IMAGES
        case (*_, "audio", "speech"):
            return Endpoint.SPEECH
    return Endpoint.OTHER
