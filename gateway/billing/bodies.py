"""The bodies of requests, awaited whole where they are small enough to be looked at."""

from __future__ import annotations

from typing import Final

from gateway.envelope import Refusal
from gateway.request import BodyError, RequestBody

_TOGETHER: Final = 128 * 1024 * 1024
"""Bytes, of all requests together, that may be here while the rest of their bodies is awaited: clients
may send as slowly as a limit allows."""


class Bodies:
    """Awaits bodies of up to *most* bytes, of which *together* may be here before the rest has come."""

    def __init__(self, most: int, together: int = _TOGETHER) -> None:
        self._most = most
        self.together = together
        self.waiting = 0
        """Bytes of bodies that are not whole."""

    def whole(self, body: bytes | None) -> bytes | None:
        """Returns *body*, which has arrived; None if it is too large to be looked at."""
        return (body or b"") if body is None or len(body) <= self._most else None

    async def read(self, body: RequestBody) -> bytes | Refusal | None:
        """Returns the whole of *body*; None if it is too large to be looked at.

        It is sent all the same. A refusal says that it broke a limit.
        """
        waiting = _Waiting(self)
        try:
            return await body.read(self._most, waiting.admits)
        except BodyError:
            return body.failure or Refusal.BAD_REQUEST
        finally:
            self.waiting -= waiting.size


class _Waiting:
    # What has come of one body.

    def __init__(self, bodies: Bodies) -> None:
        self.size = 0
        self._bodies = bodies

    def admits(self, size: int) -> bool:
        self.size += size
        self._bodies.waiting += size
        return self._bodies.waiting <= self._bodies.together
