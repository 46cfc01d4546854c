"""The heads of an upstream's responses: which are followed by another, and how large one may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.config import Limits

SWITCHING_PROTOCOLS: Final = 101
_INTERIM: Final = range(100, 200)


def is_interim(code: int) -> bool:
    """Returns whether a response with this status is followed by another to the same request."""
    return code in _INTERIM and code != SWITCHING_PROTOCOLS


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How large the head of a response may be, in bytes and fields, with interim ones before it.

    Far larger than clients take: a response that does not arrive has been paid for, and the largest
    fields, such as cookies, often do not go on to the client.
    """

    size: int = 1024 * 1024
    fields: int = 1000

    @classmethod
    def beside(cls, clients: Limits) -> HeadLimits:
        """Returns the limits of an upstream that may say at least as much as *clients* may."""
        return cls(
            max(cls().size, clients.max_header_bytes), max(cls().fields, clients.max_headers)
        )

    def for_parser(self) -> dict[str, Any]:
        """Returns them as aiohttp's parser calls them."""
        return {
            "max_line_size": self.size,
            "max_field_size": self.size,
            "max_headers": self.fields,
        }
