"""What a request asks for, as far as it decides about money.

A client chooses every byte, and the upstream may read them by another rule than the gateway. So a body
that readers may understand differently is refused, in all that decides which price applies and whether
usage is told. A number that only bounds what is held counts as not said if it makes no sense.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.metering.endpoints import Endpoint, target_of
from gateway.metering.forms import FORM, read_form
from gateway.metering.media import text_bytes
from gateway.metering.members import JSON_ERRORS, NotPlainError, values_by_name
from gateway.metering.names import check_names, check_query

_LONGEST_MODEL: Final = 256
"""Characters: what a charge may name."""
_LARGEST_NUMBER: Final = 10**9
_OUTPUT_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_CHOICES: Final = ("n", "best_of")
# Other models, which the upstream goes over to by itself.
_OTHER_MODELS: Final = (
    "models",
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
)
_TIERS: Final = (None, "auto", "default", "flex", "standard_only")
"""Of service. Others, such as `priority`, cost more."""
_UNTIMED: Final = frozenset({"text", "srt", "vtt"})
"""Formats of a transcription that tell no length of the audio."""
_TERMS: Final = frozenset({*_OTHER_MODELS, "service_tier", "background"})
_DECIDING: Final = frozenset(
    {"model", "stream", "stream_options", *_OUTPUT_LIMITS, *_CHOICES, *_TERMS}
)
"""What is read of every request in JSON."""

_COMPLETIONS: Final = Endpoint.COMPLETIONS
_IMAGES: Final = Endpoint.IMAGES
_SPEECH: Final = Endpoint.SPEECH

_JSON: Final = "application/json"
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})

_charset = re.compile(r';\s*charset\s*=\s*"?([^";\s]*)').findall
# Some readers take JSON in UTF-16, and with a byte order mark, of whatever type it is said to be.
_looks_like_json = re.compile(rb"[\s\x00\xef\xbb\xbf\xff\xfe]*\{").match
_is_number = re.compile(r"[0-9]{1,18}", re.ASCII).fullmatch
_decode = msgspec.json.Decoder().decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class AmbiguousRequestError(ValueError):
    """A request that two readers may understand differently; its message says why."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What a request asks for, as far as it decides about money."""

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
    tells_seconds: bool = True
    """Whether the answer may tell how long the audio is: as plain text or subtitles it does not."""
    place: Endpoint = Endpoint.OTHER


def read_request(path: str, content_type: str, body: bytes | None, query: str = "") -> Asked | None:
    """Returns what a request asks for; None if there is nothing to be read, so no model.

    Read are JSON objects, whatever *content_type* says, since some upstreams don't look at it, and
    multipart forms. *body* is None if it is too large to be looked at. Raises `AmbiguousRequestError`:
    the gateway answers 400 `bad_request`.
    """
    try:
        if query:
            check_query(query)
        if content_type == _JSON and body:
            return _from_json(path, body)
        return None if body is None else _read_other(path, content_type, body)
    except NotPlainError as error:
        raise AmbiguousRequestError(str(error)) from None


def _read_other(path: str, content_type: str, body: bytes) -> Asked | None:
    lower = content_type.lower()
    kind = lower.partition(";")[0].strip()
    if kind == FORM:
        return _from_form(path, content_type, body)
    # Some upstreams take these for forms, whatever else the type says and the body looks like.
    if "urlencoded" in lower or "multipart" in lower:
        raise NotPlainError("the body is a form of another type than multipart/form-data")
    if not body or not (kind.endswith(("/json", "+json")) or _looks_like_json(body)):
        return None
    if ";" in lower:
        _check_charset(lower)
    return _from_json(path, body)


def _from_json(path: str, body: bytes) -> Asked:
    values = values_by_name(body)
    check_names(values.keys())
    place = target_of(path).endpoint
    model, limit, wanted, streams, includes_usage = "", 0, 1, False, False
    terms: dict[str, object] = {}
    for name, value in values.items():
        if name not in _DECIDING:
            continue
        if name == "model":
            model = _model(_plain(value))
        elif name == "stream":
            streams = _flag(name, _plain(value))
        elif name == "stream_options":
            includes_usage = _includes_usage(bytes(value))
        elif name in _OUTPUT_LIMITS:
            limit = max(limit, _number(_plain(value)))
        elif name in _CHOICES:
            wanted = max(wanted, _number(_plain(value)))
        else:
            terms[name] = _plain(value)
    if terms:
        _check_terms(terms, place)
    if place is _COMPLETIONS:
        wanted *= _prompts(values.get("prompt"))
    return Asked(
        model=model,
        output_tokens=limit,
        choices=1 if place is _IMAGES else wanted,
        images=wanted if place is _IMAGES else 0,
        streams=streams,
        includes_usage=includes_usage,
        input_bytes=text_bytes(body),
        characters=_characters(values.get("input")) if place is _SPEECH else 0,
        place=place,
    )


def _includes_usage(options: bytes) -> bool:
    if options == b"null":
        return False
    values = values_by_name(options)
    check_names(values.keys())
    return "include_usage" in values and _flag("include_usage", _plain(values["include_usage"]))


def _from_form(path: str, content_type: str, body: bytes) -> Asked:
    place = target_of(path).endpoint
    if place in (Endpoint.CHAT, Endpoint.COMPLETIONS):
        raise NotPlainError("completions are asked for in JSON")
    form = read_form(content_type, body)
    fields = form.fields
    _check_terms(fields, place)
    wanted = max(1, _number(fields.get("n")))
    return Asked(
        model=_model(fields.get("model")),
        images=wanted if place is _IMAGES else 0,
        choices=1 if place is _IMAGES else wanted,
        streams=(fields.get("stream") or "").lower() in ("true", "1", "on", "yes"),
        input_bytes=form.text_bytes,
        tells_seconds=fields.get("response_format", "").strip().lower() not in _UNTIMED,
        place=place,
    )


def _check_charset(content_type: str) -> None:
    written = _charset(content_type)
    if not _CHARSETS.issuperset(written) or content_type.count("charset") != len(written):
        raise NotPlainError("the body is JSON in another encoding than UTF-8")


def _check_terms(fields: Mapping[str, object], place: Endpoint) -> None:
    # Raises for what has a request served by another model, dearer, or when no answer tells its usage.
    if any(fields.get(name) not in (None, []) for name in _OTHER_MODELS):
        raise NotPlainError("the body names other models")
    if fields.get("service_tier") not in _TIERS:
        raise NotPlainError("the body names a tier of service that has no price")
    background = fields.get("background")
    if place is _IMAGES and isinstance(background, str):
        # That of a picture.
        return
    if background not in (None, False, "false"):
        raise NotPlainError("the answer is to be made in the background")


def _plain(value: msgspec.Raw) -> Any:
    try:
        return _decode(value)
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


def _flag(name: str, value: object) -> bool:
    if value is not None and type(value) is not bool:
        raise NotPlainError(f"{name} is neither true nor false")
    return value is True


def _number(value: object) -> int:
    # As lenient readers take it: 12, 12.0 and "12". What makes no sense is 0: not said.
    if isinstance(value, str) and _is_number(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
        return 0
    return min(int(value), _LARGEST_NUMBER) if value == value // 1 else 0


def _characters(spoken: msgspec.Raw | None) -> int:
    text = None if spoken is None else _plain(spoken)
    return len(text) if isinstance(text, str) else 0


def _prompts(prompt: msgspec.Raw | None) -> int:
    # Each is completed; a list of numbers is one, in tokens.
    try:
        prompts = _decode_list(prompt) if prompt is not None else []
    except JSON_ERRORS:
        return 1
    return len(prompts) if prompts and bytes(prompts[0])[:1] in b'"[' else 1
