"""One event of a stream: what it says, how much of an answer it brings, and its usage taken out."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from gateway.metering.events import data_of
from gateway.metering.members import JSON_ERRORS, read_json

DONE: Final = b"[DONE]"
# Events after which nothing of an answer comes: of Anthropic, of responses, of audio and of images.
_LAST: Final = frozenset(
    {
        "message_stop",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "transcript.text.done",
        "speech.audio.done",
        "image_generation.completed",
        "image_edit.completed",
    }
)
# What a delta holds beside text that was written: names, and audio in base64.
_NO_TEXT: Final = frozenset({"role", "type", "id", "name", "data"})

_USAGE: Final = b'"usage"'
_PICTURE: Final = b'"b64_json"'
_NULL_AT_THE_END: Final = b',"usage":null'
_null_member = re.compile(
    rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,|"usage"\s*:\s*null'
).finditer
# Members that hold neither objects nor lists, up to the brace that closes the outermost object.
_only_flat_members = re.compile(rb'(?:,"[^"\\]*":(?:"[^"\\]*"|[0-9a-zA-Z.+-]+))*\}\s*').fullmatch


class Piece(msgspec.Struct, gc=False):
    """What the meter needs of an event's JSON object."""

    type: Any = None
    choices: Any = None
    delta: Any = None
    usage: Any = msgspec.UNSET

    @property
    def is_last(self) -> bool:
        """Whether the answer ends with it."""
        return isinstance(self.type, str) and self.type in _LAST

    @property
    def is_usage_alone(self) -> bool:
        """Whether it is the chunk that asking for usage brings: without choices, with a usage."""
        return self.choices == [] and isinstance(self.usage, dict)

    def text_bytes(self) -> int:
        """Returns how many bytes of an answer's text it brings."""
        size = _text_bytes(self.delta) if self.delta is not None else 0
        if isinstance(self.choices, list):
            for choice in self.choices:
                if isinstance(choice, dict):
                    size += _text_bytes(choice.get("delta") or choice.get("text"))
        return size


_decode_piece = msgspec.json.Decoder(Piece).decode


def read_piece(data: bytes) -> Piece | None:
    """Returns what the data of an event says; None if it is no JSON object."""
    try:
        return _decode_piece(data)
    except JSON_ERRORS:
        pass
    # Some write NaN, or cut a character in two.
    value = _read_or_none(data)
    if not isinstance(value, dict):
        return None
    return Piece(**{name: value[name] for name in Piece.__struct_fields__ if name in value})


def may_tell(data: bytes) -> bool:
    """Returns whether the data of an event may tell a usage or bring a picture. Most do not."""
    return _USAGE in data or _PICTURE in data


def whole(data: bytes, piece: Piece) -> object:
    """Returns the whole value of *data*; None if there is no usage in it but null, and no picture."""
    if piece.usage is None and data.count(_USAGE) == 1 and _PICTURE not in data:
        return None
    return _read_or_none(data)


def _read_or_none(data: bytes) -> Any:
    try:
        return read_json(data)
    except ValueError:
        return None


def without_null_usage(event: bytes) -> bytes:
    """Returns *event* without the member `"usage": null` of its outermost object; all else stays.

    For an event whose data is a JSON object that has this member.
    """
    at = event.find(_NULL_AT_THE_END)
    after = at + len(_NULL_AT_THE_END)
    if at >= 0 and _only_flat_members(event, after):
        return event[:at] + event[after:]
    return _without_null_usage_anywhere(event)


def _without_null_usage_anywhere(event: bytes) -> bytes:
    # Cuts each place that may be it, and takes the one with which nothing but it is gone.
    remaining = _read_or_none(data_of(event) or b"")
    if not isinstance(remaining, dict) or "usage" not in remaining:
        return event
    del remaining["usage"]
    for match in _null_member(event):
        shorter = event[: match.start()] + event[match.end() :]
        if _read_or_none(data_of(shorter) or b"") == remaining:
            return shorter
    return event


def _text_bytes(value: object) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
    if isinstance(value, list):
        return sum(map(_text_bytes, value))
    size = 0
    if isinstance(value, dict):
        for name, item in value.items():
            if item and name not in _NO_TEXT:
                size += _text_bytes(item)
    return size
