"""What a request asks for, as far as it decides about money.

A client chooses every byte, and the upstream may read them by another rule than the gateway. So a body
that readers may understand differently is refused, in all that decides which price applies and whether
usage is told. A number that only bounds what is held counts as not said if it makes no sense.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.metering.endpoints import Endpoint, endpoint
from gateway.metering.forms import FORM, read_form
from gateway.metering.media import text_bytes
from gateway.metering.members import JSON_ERRORS, Member, NotPlainError, members

_LONGEST_MODEL: Final = 256
"""Characters: what a charge may name."""
_LARGEST_NUMBER: Final = 10**9
_OUTPUT_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_CHOICES: Final = ("n", "best_of")
_NAMES: Final = frozenset(
    {"model", "stream", "stream_options", "include_usage", "input", *_OUTPUT_LIMITS, *_CHOICES}
)
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})

_charset = re.compile(r';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE).findall
# Some readers take JSON in UTF-16, and with a byte order mark, of whatever type it is said to be.
_looks_like_json = re.compile(rb"[\s\x00\xef\xbb\xbf\xff\xfe]*\{").match
_is_number = re.compile(r"[0-9]{1,18}", re.ASCII).fullmatch
_decode = msgspec.json.Decoder().decode
_NOTHING: Final = Member(0, b"null")


class AmbiguousRequestError(ValueError):
    """A request that two readers may understand differently; its message says why."""


# Not frozen: one is made for each request, and that would take three times as long.
@dataclass(slots=True)
class Asked:
    """What a request asks for, as far as it decides about money. It is never changed."""

    model: str = ""
    """Empty if it names none."""
    output_tokens: int = 0
    """The most that the answer may have, each choice of it. 0 if it does not say."""
    choices: int = 1
    images: int = 0
    """How many it wants made."""
    streams: bool = False
    includes_usage: bool = False
    """Whether it wants the usage of a stream itself."""
    input_bytes: int = 0
    """Of its body, with 6,000 in place of each file and picture within, which no bytes measure."""
    characters: int = 0
    """Of the text that it wants spoken."""


def read_request(path: str, content_type: str, body: bytes) -> Asked | None:
    """Returns what a request asks for; None if there is nothing to be read, so no model.

    Read are JSON objects, whatever *content_type* says, since some upstreams don't look at it, and
    multipart forms. Raises `AmbiguousRequestError`: the gateway answers 400 `bad_request`.
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == FORM:
            return _from_form(path, content_type, body)
        if kind.endswith(("/json", "+json")) or _looks_like_json(body):
            return _from_json(path, content_type, body) if body else None
    except NotPlainError as error:
        raise AmbiguousRequestError(str(error)) from None
    return None


def _from_json(path: str, content_type: str, body: bytes) -> Asked:
    if ";" in content_type and not _CHARSETS.issuperset(_charset(content_type.lower())):
        raise NotPlainError("the body is JSON in another encoding than UTF-8")
    fields = members(body)
    _check_names(fields)
    options = fields.get("stream_options", _NOTHING).value
    inner = members(options) if options != b"null" else {}
    _check_names(inner)
    wanted = max(1, *(_count(fields, name) for name in _CHOICES))
    place = endpoint(path)
    return Asked(
        model=_model(_plain(fields, "model")),
        output_tokens=max(_count(fields, name) for name in _OUTPUT_LIMITS),
        choices=1 if place is Endpoint.IMAGES else wanted,
        images=wanted if place is Endpoint.IMAGES else 0,
        streams=_flag(fields, "stream"),
        includes_usage=_flag(inner, "include_usage"),
        input_bytes=text_bytes(body),
        characters=_characters(fields) if place is Endpoint.SPEECH else 0,
    )


def _from_form(path: str, content_type: str, body: bytes) -> Asked:
    form = read_form(content_type, body)
    wanted = max(1, _number(form.fields.get("n")))
    place = endpoint(path)
    return Asked(
        model=_model(form.fields.get("model")),
        images=wanted if place is Endpoint.IMAGES else 0,
        choices=1 if place is Endpoint.IMAGES else wanted,
        streams=(form.fields.get("stream") or "").lower() in ("true", "1", "on", "yes"),
        input_bytes=form.text_bytes,
    )


def _check_names(fields: Mapping[str, object]) -> None:
    # Go's reader takes a name in any case, and in letters that some case makes equal.
    for name in fields:
        if name not in _NAMES and name.strip().casefold() in _NAMES:
            raise NotPlainError(f"the body writes {name.strip().casefold()} in another way")


def _plain(fields: Mapping[str, Member], name: str) -> Any:
    try:
        return _decode(fields.get(name, _NOTHING).value)
    except JSON_ERRORS:
        return NotImplemented


def _model(model: object) -> str:
    if model is None:
        return ""
    if not isinstance(model, str):
        raise NotPlainError("model is no text")
    if len(model) > _LONGEST_MODEL or not model.isprintable() or model != model.strip():
        raise NotPlainError("model is too long, or has spaces or control characters")
    return model


def _flag(fields: Mapping[str, Member], name: str) -> bool:
    value = fields.get(name, _NOTHING).value
    if value not in (b"true", b"false", b"null"):
        raise NotPlainError(f"{name} is neither true nor false")
    return value == b"true"


def _count(fields: Mapping[str, Member], name: str) -> int:
    return _number(_plain(fields, name)) if name in fields else 0


def _number(value: object) -> int:
    # As lenient readers take it: 12, 12.0 and "12". What makes no sense is 0: not said.
    if isinstance(value, str) and _is_number(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
        return 0
    return min(int(value), _LARGEST_NUMBER) if value == value // 1 else 0


def _characters(fields: Mapping[str, Member]) -> int:
    text = _plain(fields, "input")
    return len(text) if isinstance(text, str) else 0
