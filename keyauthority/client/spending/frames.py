"""How records stand in a file: each in a frame that is told apart from what is torn or corrupt.

A frame is a line feed, the CRC-32 of its payload and its length in hexadecimal, and the payload. The
payload is ASCII without control characters, so a line feed only ever begins a frame: whatever lies
before it, the next frame is found, and nothing that a client sent is taken for one.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEAD: Final = 17
"""Bytes of a frame before its payload."""

LONGEST: Final = 0xFFFFFF
"""Bytes of the longest payload."""

_HEAD: Final = re.compile(rb"\n([0-9a-f]{8}) ([0-9a-f]{6}) ")


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no frame. `torn`: the file ends before its last frame does."""

    offset: int
    length: int
    torn: bool


def frame(payload: str) -> bytes:
    """Returns the frame of *payload*; raises `ValueError` if that is too long."""
    content = payload.encode("ascii")
    length = len(content)
    if length > LONGEST:
        raise ValueError(f"a record has at most {LONGEST} bytes, not {length}")
    # Half the time of formats; the checksum has four bytes, the length three.
    head = (zlib.crc32(content) << 24 | length).to_bytes(7).hex(" ", -4)
    return b"".join((b"\n", head.encode("ascii"), b" ", content))


def frames(content: bytes) -> Iterator[bytes | Damage]:
    """Yields the payloads in *content*, and what lies between them."""
    at = damaged = 0
    while at < len(content):
        payload = _payload_at(content, at)
        if payload is None:
            following = content.find(b"\n", at + 1)
            at = len(content) if following < 0 else following
            continue
        if damaged < at:
            yield Damage(damaged, at - damaged, torn=False)
        yield payload
        at = damaged = at + HEAD + len(payload)
    if damaged < at:
        yield Damage(damaged, at - damaged, _is_torn(content, damaged))


def _payload_at(content: bytes, at: int) -> bytes | None:
    head = _HEAD.match(content, at)
    if head is None:
        return None
    payload = content[head.end() : head.end() + int(head[2], 16)]
    whole = len(payload) == int(head[2], 16) and zlib.crc32(payload) == int(head[1], 16)
    return payload if whole else None


def _is_torn(content: bytes, at: int) -> bool:
    # A power cut may leave the length of a file without its content: zeros.
    rest = content[at:].rstrip(b"\0")
    head = _HEAD.match(rest)
    if head is None:
        return len(rest) < HEAD
    return len(rest) - HEAD < int(head[2], 16)
