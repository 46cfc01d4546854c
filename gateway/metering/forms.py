"""Multipart forms: the fields that decide about money, read by the one strict form of RFC 7578."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from gateway.metering.media import FILE_BYTES
from gateway.metering.members import NotPlainError
from gateway.metering.names import NAMES, plain_name

FORM: Final = "multipart/form-data"

_MOST_PARTS: Final = 1000
_LARGEST_HEAD: Final = 8192
_LONGEST_VALUE: Final = 1024

_TEXTS: Final = frozenset({"input", "prompt"})
"""Of any length: they decide about nothing in a form."""

_boundaries = re.compile(
    r""";\s*boundary\s*=\s*(?:"([0-9a-z'()+_,./:=? -]{0,69}[0-9a-z'()+_,./:=?-])"|([0-9a-z'+_.-]{1,70}))(?=\s*(?:;|$))""",
    re.IGNORECASE,
).findall
_disposition = re.compile(
    rb'content-disposition:[ \t]*form-data;[ \t]*name="([^"\\\r\n]*)"'
    rb'((?:;[ \t]*filename="[^"\\\r\n]*"|;[ \t]*filename\*=[^";\r\n]*)*)[ \t]*',
    re.IGNORECASE,
).fullmatch
_plain_type = re.compile(
    rb'content-type:[ \t]*text/plain[ \t]*(?:;[ \t]*charset="?(?:utf-8|us-ascii|iso-8859-1)"?[ \t]*)?',
    re.IGNORECASE,
).fullmatch


@dataclass(slots=True)
class Form:
    """The fields of a form that decide about money, and how much of it is text."""

    fields: dict[str, str] = field(default_factory=dict)
    text_bytes: int = 0


def read_form(content_type: str, body: bytes) -> Form:
    """Reads a form; raises `NotPlainError` for whatever two readers may take apart differently."""
    form = Form()
    parts = _parts(_boundary(content_type), body)
    for head, start, end in parts:
        name, is_file = _read_head(head)
        form.text_bytes += min(end - start, FILE_BYTES) if is_file else end - start
        plain = plain_name(name)
        if plain == "_charset_":
            raise NotPlainError("the form names an encoding of its own")
        if plain not in NAMES or plain in _TEXTS:
            continue
        if is_file or name != plain or name in form.fields or not _is_plain_text(head):
            raise NotPlainError(f"the form has {plain} twice, or in an unusual way")
        form.fields[name] = _text(name, body[start:end])
    return form


def _boundary(content_type: str) -> bytes:
    written = _boundaries(content_type)
    if len(written) != 1 or content_type.lower().count("boundary") != 1:
        raise NotPlainError("the form has no plain boundary")
    quoted, token = written[0]
    return f"--{quoted or token}".encode()


def _parts(delimiter: bytes, body: bytes) -> list[tuple[bytes, int, int]]:
    # Head, start and end of each part. Nothing may stand before the first and after the last.
    if not body.startswith(delimiter):
        raise NotPlainError("the form does not begin with its boundary")
    position, inner = len(delimiter), b"\r\n" + delimiter
    parts: list[tuple[bytes, int, int]] = []
    while body[position : position + 2] == b"\r\n":
        head_end = body.find(b"\r\n\r\n", position, position + _LARGEST_HEAD)
        end = body.find(inner, head_end + 2)
        if head_end < 0 or end < head_end + 4 or len(parts) == _MOST_PARTS:
            raise NotPlainError(
                "the form is cut off, or has too many parts or a part without a body"
            )
        parts.append((body[position + 2 : head_end], head_end + 4, end))
        position = end + len(inner)
    if body[position : position + 2] != b"--" or body[position + 2 :].strip(b"\r\n"):
        raise NotPlainError("the form does not end with its boundary")
    if body.count(delimiter) != len(parts) + 1:
        # Some readers take lines for ended by a line feed alone.
        raise NotPlainError("the form has its boundary inside of a part")
    return parts


def _read_head(head: bytes) -> tuple[str, bool]:
    # The name of a part, and whether it is a file.
    matches = [match for line in head.split(b"\r\n") if (match := _disposition(line))]
    if len(matches) != 1 or head.lower().count(b"content-disposition") != 1:
        raise NotPlainError("a part of the form has no plain name")
    try:
        return matches[0][1].decode(), bool(matches[0][2])
    except UnicodeDecodeError:
        raise NotPlainError("a part of the form has no plain name") from None


def _is_plain_text(head: bytes) -> bool:
    # Some readers decode base64 where a part says so.
    return all(_disposition(line) or _plain_type(line) for line in head.split(b"\r\n"))


def _text(name: str, value: bytes) -> str:
    if len(value) > _LONGEST_VALUE or not value.isascii():
        raise NotPlainError(f"{name} of the form is no plain text")
    return value.decode()
