"""Which credentials were accepted here before, and which were just refused."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MOST: Final = 10_000
"""Credentials of either kind that are remembered, by their digests: about two MiB."""

REFUSED_FOR: Final = 2.0
"""Seconds for which a refused token is refused without a look-up, as an unknown key's secret is."""


class Acquaintances:
    """Remembers credentials by digests.

    That one was accepted before lets nobody in: it is looked up as before, only sooner.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        # Ordered ones, since the oldest of a plain dictionary is found ever more slowly.
        self._accepted: OrderedDict[bytes, None] = OrderedDict()
        self._refused_until: OrderedDict[bytes, float] = OrderedDict()

    def accepts(self, digest: bytes) -> bool:
        """Whether the credential was accepted when it was last looked up."""
        return digest in self._accepted

    def refuses(self, digest: bytes, now: float) -> bool:
        """Whether the token was refused within the last seconds."""
        return self._refused_until.get(digest, now) > now

    def accepted(self, digest: bytes) -> None:
        """The credential was looked up, and is a caller's."""
        self._accepted[digest] = None
        self._accepted.move_to_end(digest)
        if len(self._accepted) > self._most:
            self._accepted.popitem(last=False)

    def refused(self, digest: bytes, now: float) -> None:
        """The token was looked up, and is nobody's: one that is will never be."""
        self._refused_until[digest] = now + REFUSED_FOR
        self._refused_until.move_to_end(digest)
        if len(self._refused_until) > self._most:
            self._refused_until.popitem(last=False)

    def forget(self, digest: bytes) -> None:
        """The credential is no longer accepted."""
        self._accepted.pop(digest, None)
