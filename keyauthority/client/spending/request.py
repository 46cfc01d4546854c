"""What one request is about, and why it may not be let through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_LONGEST_NAME: Final = 256
_LONGEST_ID: Final = 128
_UNPRINTABLE: Final = "\N{REPLACEMENT CHARACTER}"


class OutOfCredits(Exception):  # noqa: N818 - it says what there is to do: top up
    """The authority said that the workspace's balance is zero or less: 402."""


class AllHeld(Exception):  # noqa: N818 - it says what there is to do: wait
    """The authority said that nothing is available: running requests hold what is left: 429."""


class SpendingUnavailable(Exception):  # noqa: N818 - it says what the caller lacks
    """No word on the credits, or the prices, could be had, or the spool can't be written: 503.

    The message is a reason for the operator's log.
    """


@dataclass(frozen=True, slots=True)
class Request:
    """What a request is about, as its charge will say: clients choose some of it.

    Texts that are too long for a charge are cut, and unprintable characters replaced.
    """

    model: str
    path: str
    request_id: str
    price_id: str = ""

    def __post_init__(self) -> None:
        for name, longest in _LENGTHS:
            text = getattr(self, name)
            if len(text) > longest or not text.isprintable():
                object.__setattr__(self, name, _fit(text, longest))


_LENGTHS: Final = (
    ("model", _LONGEST_NAME),
    ("path", _LONGEST_NAME),
    ("request_id", _LONGEST_ID),
    ("price_id", _LONGEST_ID),
)


def _fit(text: str, longest: int) -> str:
    cut = text[:longest]
    return "".join(letter if letter.isprintable() else _UNPRINTABLE for letter in cut)
