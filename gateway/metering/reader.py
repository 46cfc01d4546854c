"""What reads an answer while it is passed on."""

from __future__ import annotations

from typing import Final

from keyauthority.pricing.meter import Meter

BYTES_A_TOKEN: Final = 3

_NO_CODING: Final = ("", "identity")


def is_coded(coding: str) -> bool:
    """Returns whether a body of this `Content-Encoding` has to be decoded before it can be read."""
    return coding.strip().lower() not in _NO_CODING


class AnswerReader:
    """Reads one answer into *meter*, fed with its chunks as they come.

    This one passes on what can't be read: what is coded, audio and pictures.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    @property
    def meter(self) -> Meter:
        """What the answer told so far. A JSON answer tells it at its end."""
        return self._meter

    @property
    def plain_counts(self) -> dict[str, int] | None:
        """The tokens of the whole answer by class, if they are known without `meter`, which has them too."""
        return None

    def feed(self, chunk: bytes) -> bytes:
        """Returns what to pass on now that *chunk* has come; empty if that has to wait.

        It is *chunk* itself, the same object, unless usage is taken out and a part of it waits for the
        end of its event or has something taken out of it.
        """
        return chunk

    def finish(self) -> bytes:
        """Takes the end of the answer, whole or broken off, and returns what is left to pass on.

        Nothing of that may be passed on if the answer broke off.
        """
        return b""

    @property
    def ended(self) -> bool:
        """Whether the answer is whole by its own word: `[DONE]`, the last event, or its last brace."""
        return False

    @property
    def usage_due(self) -> bool:
        """Whether the answer is made, as far as it tells, and the usage of all of it is yet to come.

        So a client that leaves now has got what it came for, and would not be charged for it.
        """
        return False

    @property
    def text_bytes(self) -> int:
        """Bytes of text passed on so far.

        They are those in the deltas of a stream; those in a JSON answer once it is finished, since by
        then it was made in any case; all of an answer in text.
        """
        return 0

    @property
    def relayed(self) -> int:
        """About how many tokens of output were passed on so far."""
        return -(-self.text_bytes // BYTES_A_TOKEN)

    @property
    def images(self) -> int:
        """How many pictures it brought."""
        return self.meter.images
