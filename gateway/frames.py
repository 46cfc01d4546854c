"""Frames of websockets (RFC 6455, section 5.2): where they end, and the one that says why it ends."""

from __future__ import annotations

import os
from typing import Final

_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_EXTENDED: Final = {126: 2, 127: 8}
_OPCODE: Final = 0x0F
_CLOSE: Final = 0x8
_FINAL: Final = 0x80
_SHORTEST: Final = 2
_MASK: Final = 4


class Frames:
    """Follows the frames in one direction. Payloads are passed over, whatever their size."""

    __slots__ = ("_head", "_left", "closed")

    def __init__(self) -> None:
        self._head = b""
        # Bytes to come of the payload.
        self._left = 0
        # Whether a frame has begun that says that the websocket ends.
        self.closed = False

    @property
    def between(self) -> bool:
        """Whether a frame may begin here."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> None:
        """Goes on by *data*."""
        at, size = 0, len(data)
        while at < size:
            if self._left:
                passed = min(self._left, size - at)
                self._left -= passed
                at += passed
                continue
            # A head is short, and seldom comes in two pieces.
            wanted = self._missing()
            self._head += data[at : at + wanted]
            at += wanted
            if not self._missing():
                self._begin_payload()

    def _missing(self) -> int:
        head = self._head
        if len(head) < _SHORTEST:
            return _SHORTEST - len(head)
        size = _SHORTEST + _EXTENDED.get(head[1] & _LENGTH, 0) + (_MASK if head[1] & _MASKED else 0)
        return size - len(head)

    def _begin_payload(self) -> None:
        head, self._head = self._head, b""
        self.closed = self.closed or head[0] & _OPCODE == _CLOSE
        extended = _EXTENDED.get(head[1] & _LENGTH, 0)
        if extended:
            self._left = int.from_bytes(head[_SHORTEST : _SHORTEST + extended], "big")
        else:
            self._left = head[1] & _LENGTH


def close_frame(code: int, reason: str, *, masked: bool) -> bytes:
    """Returns the frame that ends a websocket; what clients send is *masked*. *reason* is short."""
    payload = code.to_bytes(2, "big") + reason.encode()
    if not masked:
        return bytes((_FINAL | _CLOSE, len(payload))) + payload
    mask = os.urandom(_MASK)
    hidden = bytes(byte ^ mask[at % _MASK] for at, byte in enumerate(payload))
    return bytes((_FINAL | _CLOSE, _MASKED | len(payload))) + mask + hidden
