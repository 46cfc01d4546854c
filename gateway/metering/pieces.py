"""One event of a stream: what it says, how much of an answer it brings, and its usage taken out."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from gateway.metering.events import data_of
from gateway.metering.members import JSON_ERRORS, read_json
from keyauthority.pricing.meter import IMAGE_CALL

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
# What a delta holds beside text that was written: names, signatures, and audio and pictures in base64.
_NO_TEXT: Final = frozenset(
    {
        "role",
        "type",
        "id",
        "name",
        "data",
        "url",
        "b64_json",
        "signature",
        "encrypted_content",
    }
)
_LONGEST_OPENING: Final = 200
"""Letters of a data URL before its data."""
_is_data_url = re.compile(rf"data:[^,]{{0,{_LONGEST_OPENING}}};base64,").match

_USAGE: Final = b'"usage"'
_PICTURE: Final = b'"b64_json"'
_IMAGE_CALL: Final = b'"%b"' % IMAGE_CALL.encode()
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

    def measure(self) -> tuple[int, bool]:
        """Returns how many bytes of an answer's text it brings, and whether the answer is made with it.

        What follows then is at most the usage.
        """
        size, is_made = 0, False
        if self.delta is not None and not _is_audio(self.type):
            size = _text_bytes(self.delta)
        if isinstance(self.choices, list):
            for choice in self.choices:
                if isinstance(choice, dict):
                    size += _text_bytes(choice.get("delta") or choice.get("text"))
                    if choice.get("finish_reason"):
                        is_made = True
        elif isinstance(self.type, str):
            is_made = self.type == "message_delta" or self.type.endswith(".done")
        return size, is_made


def _is_audio(kind: object) -> bool:
    return isinstance(kind, str) and kind.endswith("audio.delta")


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


def told(data: bytes, piece: Piece) -> object:
    """Returns the whole value of *data* if it may tell a usage or bring a picture; else None, as mostly."""
    nulls = 1 if piece.usage is None else 0
    if data.count(_USAGE) == nulls and (piece.choices or not _has_picture(data)):
        return None
    return _read_or_none(data)


def _has_picture(data: bytes) -> bool:
    return _PICTURE in data or _IMAGE_CALL in data


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
        size = len(value)
        if size > _LONGEST_OPENING and _is_data_url(value):
            return 0
        return size if value.isascii() else len(value.encode(errors="surrogatepass"))
    if isinstance(value, list):
        return sum(map(_text_bytes, value))
    size = 0
    if isinstance(value, dict):
        for name, item in value.items():
            if item and name not in _NO_TEXT:
                size += _text_bytes(item)
    return size
