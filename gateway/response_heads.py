"""The heads of the upstream's responses: how large they may be, and what their status says of what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SWITCHING_PROTOCOLS: Final = 101
_INTERIM: Final = range(100, 200)


def is_interim(code: int) -> bool:
    """Returns whether a response with this status is followed by another to the same request."""
    return code in _INTERIM and code != SWITCHING_PROTOCOLS


@dataclass(frozen=True, slots=True)
class Heads:
    """How large the head of a response may be, with interim ones before it.

    Far larger than clients take: a response that does not arrive has been paid for, and the largest
    fields, such as cookies, often do not go on to the client.
    """

    size: int = 1024 * 1024
    fields: int = 1000
