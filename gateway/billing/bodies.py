"""The bodies of requests, awaited whole where they are small enough to be looked at."""

from __future__ import annotations

from collections import Counter
from typing import Final

from gateway.request import BodyError, RequestBody
from keyauthority.edge.envelope import Refusal

_TOGETHER: Final = 128 * 1024 * 1024
"""Bytes, of all requests together, that may be here before they are passed on: clients may send as
slowly as a limit allows, and the upstream may read as slowly."""

_PER_KEY: Final = 8
"""What part of that the requests of one key may have."""


class Bodies:
    """Awaits bodies of up to *most* bytes, of which *together* may be here before they are passed on.

    Args:
        most: A larger body is not looked at.
        refuses: Whether a body for which there is no room is refused, instead of passed on unread.
        together: Bytes of all requests; those of one key may have an eighth.
    """

    def __init__(self, most: int, *, refuses: bool, together: int = _TOGETHER) -> None:
        self._most = most
        self._refuses = refuses
        self._together = together
        self._all = 0
        self.held: Counter[str] = Counter()
        """Bytes that are here, by the key's id."""

    def whole(self, body: bytes | None) -> bytes | None:
        """Returns *body*, which has arrived; None if it is too large to be looked at."""
        return (body or b"") if body is None or len(body) <= self._most else None

    async def read(self, body: RequestBody, key_id: str) -> bytes | Refusal | None:
        """Returns the whole of *body*, of a request of this key; None if it can't be looked at.

        It is sent all the same. A refusal says that it broke a limit, or that there is no room for it.
        """
        booking = _Booking(self, key_id)
        body.on_release = booking.end
        try:
            content = await body.read(self._most, booking.admits)
        except BodyError:
            return body.failure or Refusal.BAD_REQUEST
        return Refusal.OVERLOADED if booking.exceeds and self._refuses else content

    def book(self, key_id: str, size: int) -> bool:
        """Books what has come of a body of this key; returns whether that is within the bounds."""
        self.held[key_id] += size
        self._all += size
        if not self.held[key_id]:
            del self.held[key_id]
        return self._all <= self._together and self.held[key_id] <= self._together // _PER_KEY


class _Booking:
    # What is here of one body.

    def __init__(self, bodies: Bodies, key_id: str) -> None:
        self.exceeds = False
        self._size = 0
        self._bodies = bodies
        self._key_id = key_id

    def admits(self, size: int) -> bool:
        self._size += size
        self.exceeds = not self._bodies.book(self._key_id, size)
        return not self.exceeds

    def end(self) -> None:
        self._bodies.book(self._key_id, -self._size)
        self._size = 0
