"""How much of a body is text, apart from the files and pictures in it."""

from __future__ import annotations

from typing import Final

FILE_BYTES: Final = 6000
"""What a file or picture counts as: 2,000 tokens, at three bytes each."""

_LONG: Final = 4096
"""Bytes from which a string without any white space is looked at."""
_DATA_URL: Final = (b";base64,",)
_DATA_FIELD: Final = (b'"data":"', b'"data": "')
_HAVE_FIELDS: Final = (b'"base64"', b'"input_audio"')


def text_bytes(body: bytes) -> int:
    """Returns the length of *body*, each file or picture in base64 within counted as `FILE_BYTES`.

    Text that a client passes off as such a file is counted too low in the hold alone: what is charged
    goes by the usage that the upstream tells.
    """
    if len(body) < _LONG:
        return len(body)
    has_fields = any(name in body for name in _HAVE_FIELDS)
    marks = _DATA_URL + _DATA_FIELD if has_fields else _DATA_URL
    return len(body) - sum(_beyond_constant(body, mark) for mark in marks)


def _beyond_constant(body: bytes, mark: bytes) -> int:
    # How many bytes the files that begin after *mark* have beyond what they count as.
    size, start = 0, body.find(mark) + len(mark)
    while start >= len(mark):
        end = body.find(b'"', start)
        if end - start > FILE_BYTES and body.find(b" ", start, end) < 0:
            size += end - start - FILE_BYTES
        start = body.find(mark, max(end, start)) + len(mark)
    return size
