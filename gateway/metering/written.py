"""How much text an answer in JSON has, without reading it: the strings that a model wrote."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gateway.metering.members import JSON_ERRORS

_STRING: Final = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_NAMES: Final = (
    b"content|text|arguments|reasoning_content|reasoning|thinking|refusal|transcript|partial_json"
)
_texts = re.compile(
    rb'"(?:%b)"[ \t\r\n]*:[ \t\r\n]*"(%b)("?)' % (_NAMES, _STRING), re.DOTALL
).finditer
_rest = re.compile(_STRING, re.DOTALL).match
_decode = msgspec.json.Decoder(str).decode
_FILE: Final = b"data:"


class Written:
    """Measures the text in an answer, part by part. What was echoed, numbers and files are none of it."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes of text so far."""
        self._inside = False

    def read(self, text: bytes) -> None:
        """Takes the next part of the answer."""
        start = 0
        if self._inside:
            match = _rest(text)
            start = match.end() if match else 0
            self.size += start
            self._inside = start == len(text)
        for match in _texts(text, start):
            if not match[1].startswith(_FILE):
                self.size += _size(match[1])
                self._inside = not match[2]


def _size(written: bytes) -> int:
    # In JSON a character may take as many as twelve bytes.
    if b"\\" in written:
        try:
            return len(_decode(b'"%b"' % written).encode(errors="surrogatepass"))
        except JSON_ERRORS:
            pass
    return len(written)
