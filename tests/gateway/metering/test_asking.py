"""Asking for usage changes a body by what it inserts, and by nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.metering.asking import ask_for_usage, lacks_usage
from gateway.metering.request import Asked, read_request

CHAT = "/v1/chat/completions"
INSERTED = b'"stream_options":{"include_usage":true},'
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
NAMES = st.text().filter(lambda name: name.strip().casefold() not in ("stream", "stream_options"))


def body_of(path: str, body: bytes) -> Asked:
    request = read_request(path, "application/json", body)
    assert request is not None
    return request


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.booleans(),
    st.sampled_from([None, 2, "\t"]),
    st.integers(0, 4),
    st.sampled_from(["", " ", "\r\n\t"]),
)
def test_the_field_is_inserted_and_can_be_taken_out_again(
    others: dict[str, Any], ascii_only: bool, indent: int | str | None, place: int, space: str
) -> None:
    members = list(others.items())
    members.insert(place, ("stream", True))
    body = (
        space + json.dumps(dict(members), ensure_ascii=ascii_only, indent=indent) + space
    ).encode(errors="replace")
    result = ask_for_usage(body)
    assert json.loads(result) == {**json.loads(body), "stream_options": {"include_usage": True}}
    assert result.replace(INSERTED, b"", 1) == body
    assert result.count(INSERTED) == body.count(INSERTED) + 1


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=3), st.dictionaries(st.sampled_from("abc"), VALUES))
def test_options_that_are_there_stay(others: dict[str, Any], options: dict[str, Any]) -> None:
    body = json.dumps({**others, "stream_options": options, "stream": True}).encode()
    result = ask_for_usage(body)
    expected = {**json.loads(body), "stream_options": {**options, "include_usage": True}}
    assert json.loads(result) == expected
    written = b'"include_usage":true' + (b"," if options else b"")
    assert result.replace(written, b"", 1) == body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"stream":true, "stream_options": {"include_usage" : false ,"x":1} }',
            b'{"stream":true, "stream_options": {"include_usage" : true ,"x":1} }',
        ),
        (
            b'{"stream_options":{"a":"}","include_usage":null},"stream":true}',
            b'{"stream_options":{"a":"}","include_usage":true},"stream":true}',
        ),
        (
            b'{"stream":true,"stream_options": null }',
            b'{"stream":true,"stream_options": {"include_usage":true} }',
        ),
        (
            b'{"stream":true,"stream_options":{ }}',
            b'{"stream":true,"stream_options":{"include_usage":true }}',
        ),
        (
            b'{"x":{"stream_options":{}},"stream":true,"y":"\\"stream_options\\":{"}',
            b"{"
            + INSERTED
            + b'"x":{"stream_options":{}},"stream":true,"y":"\\"stream_options\\":{"}',
        ),
        (
            '{"a":"ü\\ud83d\\ude00 {","str\\u0065am_options":{"include_usage":null}}'.encode(),
            '{"a":"ü\\ud83d\\ude00 {","str\\u0065am_options":{"include_usage":true}}'.encode(),
        ),
    ],
)
def test_bodies_with_options(body: bytes, expected: bytes) -> None:
    assert ask_for_usage(body) == expected


def test_only_streams_of_completions_that_do_not_ask_lack_it() -> None:
    plain, stream = b'{"model":"m"}', b'{"model":"m","stream":true}'
    asks = b'{"stream":true,"stream_options":{"include_usage":true}}'
    for path in (CHAT, "/v1/completions", "/v1/chat/completions/"):
        assert lacks_usage(body_of(path, stream))
        assert not lacks_usage(body_of(path, plain))
        assert not lacks_usage(body_of(path, asks))
    for path in ("/v1/responses", "/v1/messages", "/v1/audio/transcriptions"):
        assert not lacks_usage(body_of(path, stream))
