"""Multipart forms are read in one strict form; what parsers take apart differently is refused."""

from __future__ import annotations

import pytest

from gateway.metering.request import AmbiguousRequestError, Asked, read_request

TRANSCRIPTIONS = "/v1/audio/transcriptions"
EDITS = "/v1/images/edits"
AUDIO = b"ID3\r\n--bX\x00\r\n" * 5_000


def part(head: str, value: bytes) -> bytes:
    return b"--b0\r\n" + head.encode() + b"\r\n\r\n" + value + b"\r\n"


def text(name: str, value: str) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', value.encode())


FILE = part(
    'Content-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg',
    AUDIO,
)
MODEL = text("model", "whisper-1")
END = b"--b0--\r\n"


def read(body: bytes, path: str = TRANSCRIPTIONS, kind: str = "boundary=b0") -> Asked:
    request = read_request(path, f"multipart/form-data; {kind}", body)
    assert request is not None
    return request


def test_a_transcription() -> None:
    request = read(FILE + MODEL + text("stream", "true") + text("prompt", "Hm\r\n") + END)
    assert (request.model, request.streams, request.images) == ("whisper-1", True, 0)
    assert 6_000 <= request.input_bytes < 6_100


def test_an_edit_of_an_image() -> None:
    body = (
        text("n", "3")
        + FILE
        + text("prompt", "Ein Hut für sie")
        + text("model", "gpt-image-1")
        + END
    )
    request = read(body, EDITS)
    assert (request.model, request.images, request.choices) == ("gpt-image-1", 3, 1)


def test_what_clients_write_is_read() -> None:
    assert read(MODEL + END, kind='boundary="b0"').model == "whisper-1"
    plain = part(
        'content-disposition: form-data; name="model"\r\ncontent-type: text/plain; charset=utf-8',
        b"m",
    )
    assert read(plain + END).model == "m"
    assert read(FILE + END).model == ""
    assert read(MODEL + b"--b0--").model == "whisper-1"


@pytest.mark.parametrize(
    "body",
    [
        MODEL + text("model", "dear") + END,
        MODEL + text("Model", "dear") + END,
        part('Content-Disposition: form-data; name="model"; filename="m"', b"dear") + END,
        part('Content-Disposition: form-data; name="x"; name="model"', b"dear") + END,
        part("Content-Disposition: form-data; name=model", b"dear") + END,
        part("Content-Disposition: form-data; name*=utf-8''model", b"dear") + END,
        part('Content-Disposition: form-data; name="mod\\el"', b"dear") + END,
        part('Content-Disposition: form-data;\r\n name="model"', b"dear") + END,
        part('Content-Disposition: attachment; name="model"', b"dear") + END,
        part('X: 1\nContent-Disposition: form-data; name="model"', b"dear") + END,
        part(
            'Content-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64',
            b"ZGVhcg==",
        )
        + END,
        part(
            'Content-Disposition: form-data; name="model"\r\nContent-Type: text/plain; charset=utf-16',
            b"dear",
        )
        + END,
        text("_charset_", "utf-16") + MODEL + END,
        text("model", "d\u00e9ar") + END,
        text("model", "m" * 2_000) + END,
        b"preamble\r\n" + MODEL + END,
        b"\r\n" + MODEL + END,
        MODEL + END + MODEL + END,
        MODEL,
        MODEL[:-20],
        MODEL.replace(b"\r\n", b"\n") + END,
        b'{"model":"dear"}',
        b'--b0\r\nContent-Disposition: form-data; name="model"\r\n\r\n--b0--\r\n',
        MODEL.replace(b"--b0\r\n", b"--b0 \r\n") + END,
        MODEL * 0 + text("a", "1") * 1_001 + END,
        text("model[]", "dear") + MODEL + END,
        text("model[0]", "dear") + END,
        text(" model", "dear") + END,
        text("model\x00", "dear") + MODEL + END,
        text("background", "true") + MODEL + END,
        text("service_tier", "priority") + MODEL + END,
        text("models", "dear") + MODEL + END,
        # What some readers take for another part.
        part(
            'Content-Disposition: form-data; name="x"; filename="x"',
            b'\n--b0\nContent-Disposition: form-data; name="model"\n\ndear\n',
        )
        + MODEL
        + END,
        b"",
    ],
    ids=lambda body: ascii(body[:60]),
)
def test_what_parsers_take_apart_differently_is_refused(body: bytes) -> None:
    with pytest.raises(AmbiguousRequestError):
        read(body)


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "boundary=",
        "boundary=b0; boundary=b1",
        'boundary="b0',
        "boundary=b0;boundary*=b1",
        'boundary="b0 "',
    ],
)
def test_a_form_without_one_plain_boundary_is_refused(kind: str) -> None:
    with pytest.raises(AmbiguousRequestError):
        read(MODEL + END, kind=kind)


def test_completions_are_asked_for_in_json() -> None:
    """No usage can be asked for in a form."""
    for path in ("/v1/chat/completions", "/v1/completions"):
        with pytest.raises(AmbiguousRequestError):
            read(MODEL + text("stream", "true") + END, path)


def test_the_background_of_a_picture_is_another() -> None:
    assert read(text("background", "transparent") + MODEL + END, EDITS).images == 1


@pytest.mark.parametrize(
    ("form", "tells"), [("json", True), ("verbose_json", True), ("text", False), ("VTT", False)]
)
def test_subtitles_tell_no_seconds(form: str, tells: bool) -> None:
    assert read(text("response_format", form) + FILE + MODEL + END).tells_seconds is tells
    assert read(FILE + MODEL + END).tells_seconds
