"""Reading a call's message once its headers are found good, and not before."""

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
    """Returns the message of a call whose caller may make it; raises `FIELD_INVALID` if none comes."""
    message: Any = await context.read()
    if message is grpc.aio.EOF:
        raise invalid("request", "is missing")
    return bytes(message)


class Open:
    """Reads the messages of methods that are open to strangers, a few at a time.

    gRPC has no bound for the messages of one method. While too many are being read, a call is
    answered as if its message were empty: health is the same for all services, so only the answer
    about a service that doesn't exist is wrong then.
    """

    def __init__(self, at_once: int = AT_ONCE, seconds: float = SECONDS) -> None:
        self._free = at_once
        self._seconds = seconds

    async def read(self, context: Context) -> bytes:
        """Returns the call's message; raises `FIELD_INVALID` if none comes in time."""
        if not self._free:
            return b""
        self._free -= 1
        try:
            return await asyncio.wait_for(read(context), self._seconds)
        except TimeoutError:
            raise invalid("request", "does not come") from None
        finally:
            self._free += 1
