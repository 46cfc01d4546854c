"""How much of a body is text, apart from the files and pictures in it."""

from __future__ import annotations

import re
import string
from typing import Final

FILE_BYTES: Final = 6000
"""What a file or picture counts as: 2,000 tokens, at three bytes each."""

_SHORT: Final = 4096
"""Bytes below which a body is text, whatever is in it."""
_LONGEST_HEAD: Final = 200
"""Bytes from a field's name to the file in it."""
_OF_URL: Final = b";base64,"
_OF_FIELD: Final = (b'"data":"', b'"data": "')
_HAVE_FIELDS: Final = (b'"base64"', b'"input_audio"')
_BASE64: Final = (string.ascii_letters + string.digits + "+/=_-").encode()

# The fields in which upstreams look for files. What is in others, as `content` and `text`, is read.
_begins_file = re.compile(
    rb'(?<!\\)"(?:url|image_url|file_data|data)"[ \t\r\n]*:[ \t\r\n]*"data:(?:[^"\\]|\\/)*;base64,\Z'
).search


def text_bytes(body: bytes) -> int:
    """Returns the length of *body*, each file or picture in base64 within counted as `FILE_BYTES`."""
    if len(body) < _SHORT:
        return len(body)
    body = _shortened(body, _OF_URL)
    if any(name in body for name in _HAVE_FIELDS):
        for mark in _OF_FIELD:
            body = _shortened(body, mark)
    return len(body)


def _shortened(body: bytes, mark: bytes) -> bytes:
    # Without what the files that begin after *mark* have beyond what they count as.
    pieces: list[bytes] = []
    done, start = 0, body.find(mark) + len(mark)
    while start >= len(mark):
        end = body.find(b'"', start)
        if end - start > FILE_BYTES and _is_file(body, start, end, mark):
            pieces.append(body[done : start + FILE_BYTES])
            done = end
        start = body.find(mark, max(end, start)) + len(mark)
    return b"".join([*pieces, body[done:]]) if pieces else body


def _is_file(body: bytes, start: int, end: int, mark: bytes) -> bool:
    if mark is _OF_URL and not _begins_file(body, max(0, start - _LONGEST_HEAD), start):
        return False
    # A slash may stand behind a backslash in JSON.
    rest = body[start:end].translate(None, _BASE64)
    return not rest.strip(b"\\")
