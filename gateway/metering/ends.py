"""The usage in the ends of a JSON object that is too large to be kept whole."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from gateway.metering.members import read_json


class Bounds(NamedTuple):
    """How much of an answer is kept until it is read, in bytes, and looked at."""

    whole: int = 2**20
    """Of a larger answer of JSON only the ends are kept: there stands the usage of most."""
    event: int = 8 * 2**20
    """Of a larger event only the ends are read."""
    end: int = 2**16
    """So much of each end."""
    looks: int = 8
    """Events of a stream that are looked at for a sample: in some, none is like another."""


BOUNDS: Final = Bounds()

USAGE: Final = b'"usage"'
_MOST: Final = 64
"""Places at which a usage is looked for: clients choose parts of an answer, as its metadata."""

_decode_first = json.JSONDecoder().raw_decode


def usage_at_end(text: bytes, opening: bytes = b"{") -> dict[str, Any] | None:
    """Returns the usage in an object that ends with *text*; None if there is none.

    *opening* is what opens that object and those around it: of what follows a member of it, as many
    braces are closed. So a usage further inside is not taken for it.
    """
    place = len(text)
    for _ in range(_MOST):
        place = text.rfind(USAGE, 0, place)
        if place < 0:
            return None
        value = _value(opening + text[place:])
        while isinstance(value, dict) and "usage" not in value:
            value = next(iter(value.values()), None)
        if isinstance(value, dict) and isinstance(value["usage"], dict):
            return value["usage"]
    return None


def usage_at_start(text: bytes) -> dict[str, Any] | None:
    """Returns the usage in an object that begins with *text*; None if there is none."""
    place = -1
    for _ in range(_MOST):
        place = text.find(USAGE, place + 1)
        if place < 0:
            return None
        # What stands before a member of the outermost object is whole but for its brace.
        before = text[:place].rstrip().removesuffix(b",")
        if _value(before + b"}") is not None:
            usage = _first_value(text[place + len(USAGE) :])
            return usage if isinstance(usage, dict) else None
    return None


def _value(text: bytes) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return None


def _first_value(text: bytes) -> Any:
    following = text.decode(errors="replace").lstrip().removeprefix(":").lstrip()
    try:
        return _decode_first(following)[0]
    except (ValueError, RecursionError):
        return None
