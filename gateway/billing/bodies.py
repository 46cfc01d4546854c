"""The bodies of requests, awaited whole where they are small enough to be looked at."""

from __future__ import annotations

from typing import Final

from gateway.envelope import Refusal
from gateway.request import BodyError, RequestBody

_MOST_AWAITED: Final = 128 * 1024 * 1024
"""Bytes, of all requests together, that are awaited at a time: clients may send as slowly as a limit
allows, and each has a part of its body here meanwhile."""


class Bodies:
    """Awaits bodies of up to *most* bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._awaited = 0

    async def read(self, body: bytes | RequestBody | None) -> bytes | Refusal | None:
        """Returns the whole of *body*; None if it is too large to be looked at.

        It is sent all the same. A refusal says that it broke a limit.
        """
        if not isinstance(body, RequestBody):
            content = body or b""
            return content if len(content) <= self._most else None
        expected = self._most if body.length is None else body.length
        if expected > self._most:
            return None
        if self._awaited + expected > _MOST_AWAITED:
            return Refusal.TOO_MANY_REQUESTS
        self._awaited += expected
        try:
            return await body.read(self._most)
        except BodyError:
            return body.failure or Refusal.BAD_REQUEST
        finally:
            self._awaited -= expected
