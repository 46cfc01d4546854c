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


# Not frozen: one is made for each request, and that would take three times as long.
@dataclass(slots=True)
class Request:
    """What a request is about, as its charge will say: clients choose some of it.

    It is never changed. Texts that are too long for a charge are cut, and unprintable characters replaced.
    """

    model: str
    path: str
    request_id: str
    price_id: str = ""

    def __post_init__(self) -> None:
        longest = max(len(self.model), len(self.path))
        ids = f"{self.request_id}{self.price_id}"
        if (
            longest <= _LONGEST_NAME
            and len(ids) <= _LONGEST_ID
            and f"{self.model}{self.path}{ids}".isprintable()
        ):
            # As nearly always.
            return
        self.model = _fit(self.model, _LONGEST_NAME)
        self.path = _fit(self.path, _LONGEST_NAME)
        self.request_id = _fit(self.request_id, _LONGEST_ID)
        self.price_id = _fit(self.price_id, _LONGEST_ID)


def _fit(text: str, longest: int) -> str:
    if len(text) <= longest and text.isprintable():
        return text
    cut = text[:longest]
    return "".join(letter if letter.isprintable() else _UNPRINTABLE for letter in cut)
