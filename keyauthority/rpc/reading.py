"""Reading a call's message when its headers are known to be good, and not before."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc.aio

from keyauthority.domain.errors import invalid
from keyauthority.rpc.call import Context

AT_ONCE: Final = 4
"""Messages of strangers that are read at once: with the longest there may be, 36 MiB."""

SECONDS: Final = 1.0
"""How long a stranger may take to send a message once its call has begun."""


async def read(context: Context) -> bytes:
    """The call's message, of a caller that may call. Raises `FIELD_INVALID` if none is sent."""
    sent: Any = await context.read()
    if sent is grpc.aio.EOF:
        raise invalid("request", "is missing")
    return bytes(sent)


class Open:
    """Reads the messages of methods that are open to strangers, a few at a time.

    gRPC can't be told that a method's messages are small. One who comes when too many are being
    read is answered as if its message were empty: health is the same for all services, so only a
    service that doesn't exist is then told of wrongly.
    """

    def __init__(self, at_once: int = AT_ONCE, seconds: float = SECONDS) -> None:
        self._free = at_once
        self._seconds = seconds

    async def read(self, context: Context) -> bytes:
        """The call's message; raises `FIELD_INVALID` if none comes in time."""
        if not self._free:
            return b""
        self._free -= 1
        try:
            return await asyncio.wait_for(read(context), self._seconds)
        except TimeoutError:
            raise invalid("request", "does not come") from None
        finally:
            self._free += 1
