"""JSON: the members of an object, each with its place in the text, and what upstreams write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

JSON_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a text that is no JSON, no UTF-8, or nested too deeply."""

_decode_any = msgspec.json.Decoder().decode
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
# Possessive, since a name may be as long as the body: else each of its bytes is remembered.
_NAME: Final = rb'[ \t\r\n]*"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\r\n]*:[ \t\r\n]*'
_first = re.compile(rb"[ \t\r\n]*\{" + _NAME, re.DOTALL).match
_next = re.compile(rb"[ \t\r\n]*," + _NAME, re.DOTALL).match
_MOST: Final = 1000
"""Members of an object: far more than any API has, and few enough to be walked through."""
_closes = re.compile(rb"[ \t\r\n]*\}").match


class NotPlainError(ValueError):
    """A text that is no JSON object, or one that two readers may understand differently."""


class Member(NamedTuple):
    """A value, and its first byte in the text."""

    start: int
    value: bytes


def values_by_name(text: bytes) -> dict[str, msgspec.Raw]:
    """Returns the values in the JSON object *text* by their names, as they stand there.

    What is inside a value is checked for its syntax, but not read. Raises `NotPlainError`: *text* is no
    JSON object, is nested too deeply, or has a name twice, of which readers take different ones.
    """
    try:
        values = _decode(text)
    except JSON_ERRORS:
        raise NotPlainError("the body is no JSON object") from None
    if len(values) > _MOST:
        raise NotPlainError("the body has too many members")
    # Most clients write no white space: then the names and their values are all that the text has.
    if _encode(values) != text:
        _walk(text, values)
    return values


def members(text: bytes) -> dict[str, Member]:
    """Returns the members of the JSON object *text* by their names, read as by `values_by_name`."""
    return _walk(text, values_by_name(text))


def _walk(text: bytes, values: Mapping[str, msgspec.Raw]) -> dict[str, Member]:
    # The walk takes each value from its place, in the order of the text. If a name stands there twice,
    # there are more members than names: then a value is another, or what follows the last is no brace.
    places: dict[str, Member] = {}
    position, find = 0, _first
    for name, raw in values.items():
        before, value = find(text, position), bytes(raw)
        if before is None:
            raise _twice()
        start = before.end()
        position = start + len(value)
        if not text.startswith(value, start):
            raise _twice()
        places[name] = Member(start, value)
        find = _next
    if places and not _closes(text, position):
        raise _twice()
    return places


def read_json(text: bytes) -> Any:
    """Returns the value of *text* as an upstream writes it: with NaN, or half of a character, too.

    Raises `ValueError` if it is no JSON all the same.
    """
    try:
        return _decode_any(text)
    except JSON_ERRORS:
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _twice() -> NotPlainError:
    return NotPlainError("the body has a name twice")
