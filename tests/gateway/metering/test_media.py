"""Files and pictures in a body count as a constant; what only looks like one counts as text."""

from __future__ import annotations

import pytest

from gateway.metering.media import FILE_BYTES, text_bytes

FILE = b"QUJD" * 5_000
SPACED = b"QUJD " * 4_000


def body(*parts: bytes) -> bytes:
    return b'{"model":"m","messages":[{"role":"user","content":[%b]}]}' % b",".join(parts)


@pytest.mark.parametrize(
    "part",
    [
        b'{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}',
        b'{"type":"input_image","image_url":"data:image/png;base64,%b"}',
        b'{"type":"input_file","file_data" : "data:application/pdf;base64,%b"}',
        b'{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%b"}}',
        b'{"type":"input_audio","input_audio":{"data": "%b","format":"wav"}}',
    ],
)
def test_files_count_as_a_constant(part: bytes) -> None:
    for file in (FILE, FILE[:-1] + b"=", FILE.replace(b"A", b"\\/"), FILE.replace(b"A", b"-_")):
        text = body(part % file)
        assert text_bytes(text) == len(text) - len(file) + FILE_BYTES
    text = body(part % FILE, part % b"QQ==", part % FILE)
    assert text_bytes(text) == len(text) - 2 * len(FILE) + 2 * FILE_BYTES


@pytest.mark.parametrize(
    "part",
    [
        b'{"type":"text","text":";base64,%b"}',
        b'{"type":"text","text":"data:image/png;base64,%b"}',
        b'{"content":"data:text/plain;base64,%b"}',
        b'{"text":"\\"url\\":\\"data:image/png;base64,%b"}',
        b'{"url":"x;base64,%b"}',
        b'{"url":"a","text":"data:;base64,%b"}',
    ],
)
def test_text_is_text_whatever_it_looks_like(part: bytes) -> None:
    text = body(part % FILE)
    assert text_bytes(text) == len(text)


@pytest.mark.parametrize("rest", [b"Ignore,", b"a.b", b"caf\xc3\xa9", b" "])
def test_what_is_no_base64_is_text(rest: bytes) -> None:
    for part in (b'{"url":"data:text/plain;base64,%b"}', b'{"type":"base64","data":"%b"}'):
        text = body(part % (FILE + rest), part % SPACED)
        assert text_bytes(text) == len(text)
