"""The members of a JSON object, each with the place where it stands in the text."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

JSON_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a text that is no JSON, no UTF-8, or nested too deeply."""

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_name = msgspec.json.Decoder(str).decode
_opens = re.compile(rb"[ \t\r\n]*\{").match
_name = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL).match
_continues = re.compile(rb"[ \t\r\n]*,").match


class NotPlainError(ValueError):
    """A text that is no JSON object, or one that two readers may understand differently."""


class Member(NamedTuple):
    """A value, and its first byte in the text."""

    start: int
    value: bytes


def members(text: bytes) -> dict[str, Member]:
    """Returns the members of the JSON object *text* by their names, as they stand there.

    What is inside a value is checked for its syntax, but not read. Raises `NotPlainError`: *text* is no
    JSON object, is nested too deeply, or has a name twice, of which readers take different ones.
    """
    try:
        values = _decode(text)
    except JSON_ERRORS:
        raise NotPlainError("the body is no JSON object") from None
    # The walk takes each name and value from its place. It leaves the order of `values`, or ends before
    # the text does, exactly if a name stands there twice: `values` has the last value of a name only.
    opening = _opens(text)
    position = opening.end() if opening else 0
    places: dict[str, Member] = {}
    for name, raw in values.items():
        value = bytes(raw)
        if places:
            position = _after(_continues(text, position))
        start = _after(written := _name(text, position))
        position = start + len(value)
        if written is None or _read_name(written[1]) != name or text[start:position] != value:
            raise _twice()
        places[name] = Member(start, value)
    if _continues(text, position):
        raise _twice()
    return places


def _read_name(written: bytes) -> str:
    if b"\\" in written:
        return _decode_name(written)
    return written[1:-1].decode()


def _after(match: re.Match[bytes] | None) -> int:
    if match is None:
        raise _twice()
    return match.end()


def _twice() -> NotPlainError:
    return NotPlainError("the body has a name twice")
