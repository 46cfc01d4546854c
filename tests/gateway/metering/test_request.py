"""What a request asks for is read as its upstream reads it, or the request is refused."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.metering.request import AmbiguousRequestError, Asked, read_request

CHAT = "/v1/chat/completions"
JSON = "application/json"


def read(body: bytes | dict[str, Any], path: str = CHAT, kind: str = JSON) -> Asked | None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(path, kind, text)


def of(body: bytes | dict[str, Any], path: str = CHAT, kind: str = JSON) -> Asked:
    request = read(body, path, kind)
    assert request is not None
    return request


MESSAGES = [{"role": "user", "content": 'Say "hi" to {everyone}, ["model"]'}]
VECTORS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "chat": (CHAT, {"model": "gpt-4o", "messages": MESSAGES}, {"model": "gpt-4o"}),
    "stream of chat": (
        CHAT,
        {
            "model": "m",
            "messages": MESSAGES,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_completion_tokens": 300,
            "n": 2,
        },
        {"streams": True, "includes_usage": True, "output_tokens": 300, "choices": 2},
    ),
    "both names of the limit": (
        CHAT,
        {"model": "m", "max_tokens": 7, "max_completion_tokens": 900},
        {"output_tokens": 900},
    ),
    "completions": (
        "/v1/completions",
        {"model": "m", "prompt": "Once", "max_tokens": 16, "best_of": 4, "n": 2},
        {"output_tokens": 16, "choices": 4},
    ),
    "responses": (
        "/v1/responses",
        {"model": "m", "input": "Hi", "max_output_tokens": 64, "stream": True},
        {"output_tokens": 64, "streams": True, "characters": 0},
    ),
    "embeddings": ("/v1/embeddings", {"model": "e", "input": ["a", "b"]}, {"model": "e"}),
    "images": (
        "/v1/images/generations",
        {"model": "i", "prompt": "a cat", "n": 3},
        {"images": 3, "choices": 1},
    ),
    "one image": ("/v1/images/generations", {"prompt": "a cat"}, {"model": "", "images": 1}),
    "speech": (
        "/v1/audio/speech",
        {"model": "tts-1", "input": "Grüße", "voice": "alloy"},
        {"characters": 5},
    ),
    "messages of Anthropic": (
        "/v1/messages",
        {"model": "claude", "max_tokens": 1024, "messages": MESSAGES, "stream": True},
        {"output_tokens": 1024, "streams": True},
    ),
    "null everywhere": (
        CHAT,
        dict.fromkeys(("model", "stream", "stream_options", "n", "max_tokens")),
        {"model": "", "streams": False, "choices": 1, "output_tokens": 0},
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_what_the_documented_requests_ask_for(name: str) -> None:
    path, body, expected = VECTORS[name]
    request = of(body, path)
    assert {field: getattr(request, field) for field in expected} == expected


def test_the_input_is_the_body_with_files_counted_as_a_constant() -> None:
    assert of({"model": "m"}).input_bytes == len(b'{"model": "m"}')
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10**6}}
    assert 6_000 < of({"model": "m", "messages": [picture]}).input_bytes < 7_000


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"cheap","model":"dear"}',
        b'{"model":"cheap","a":1,"mod\\u0065l":"dear"}',
        b'{"model":"cheap","Model":"dear"}',
        b'{"MODEL":"dear"}',
        b'{"model ":"dear"}',
        '{"max_to\u212aens":5}'.encode(),
        '{"\u017ftream":true}'.encode(),
        b'{"stream":false,"stream":true}',
        b'{"a":12,"b":3,"a":1}',
        b'{"a":{"x":1},"a":{"x":1}}',
        b'{"max_tokens":12,"max_tokens":1}',
        b'{"a":0,"n":1,"n":1}',
        b'{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
        b'{"stream":true,"stream_options":{"Include_Usage":true}}',
        b'{"stream":true,"stream_options":[]}',
        b'{"stream":true,"stream_options":{"include_usage":1}}',
        b'{"stream":"true"}',
        b'{"stream":1}',
        b'{"model":7}',
        b'{"model":["a"]}',
        b'{"model":"a\\u0000b"}',
        b'{"model":" a"}',
        b'{"model":"a\\n"}',
        b'{"model":"\xff"}',
        b'{"model":"%s"}' % (b"m" * 257),
        b'{"mod\xffel":"a"}',
        b'\xef\xbb\xbf{"model":"a"}',
        '{"model":"a"}'.encode("utf-16"),
        '{"model":"a"}'.encode("utf-16-be"),
        b'{"model":"a"',
        b'{"model":"a"}{"model":"b"}',
        b'{"model":"a","x":NaN}',
        b'[{"model":"a"}]',
        b'"model"',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
        b"{%b}" % b",".join(b'"%d":0' % number for number in range(1_001)),
    ],
    ids=lambda body: ascii(body[:50]),
)
def test_what_two_readers_may_understand_differently_is_refused(body: bytes) -> None:
    with pytest.raises(AmbiguousRequestError):
        read(body)


@pytest.mark.parametrize(
    "charset",
    ["utf-16", "utf-7", "cp037", '"ISO-2022-JP"', "utf-8; charset=utf-7", "utf-8; charset*=utf-16"],
)
def test_json_in_another_encoding_is_refused(charset: str) -> None:
    with pytest.raises(AmbiguousRequestError):
        read({"model": "a"}, kind=f"application/json; charset={charset}")


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        (b"-1", 0),
        (b"0", 0),
        (b"true", 0),
        (b"null", 0),
        (b"1.5", 0),
        (b"1e999", 0),
        (b'"many"', 0),
        (b"[5]", 0),
        (b"12.0", 12),
        (b'"12"', 12),
        (b"1e300", 10**9),
        (b"9" * 5000, 0),
        (b"9" * 18, 10**9),
    ],
)
def test_a_limit_that_makes_no_sense_counts_as_not_said(written: bytes, tokens: int) -> None:
    request = of(b'{"model":"m","max_tokens":%b,"n":%b}' % (written, written))
    assert (request.output_tokens, request.choices) == (tokens, max(tokens, 1))


def test_json_is_read_whatever_its_type_is_called() -> None:
    kinds = (
        "application/json; charset=UTF-8",
        "text/json",
        "application/vnd.x+json",
        "text/plain",
        "",
    )
    assert all(of(b' {"model":"m"}', kind=kind).model == "m" for kind in kinds)


def test_json_of_another_type_is_found_behind_space_and_refused_in_other_encodings() -> None:
    assert of(b" " * 500 + b'{"model":"m"}', kind="text/plain").model == "m"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"):
        with pytest.raises(AmbiguousRequestError):
            read('{"model":"m"}'.encode(encoding), kind="text/plain")


def test_there_is_nothing_to_read_in_what_is_no_json() -> None:
    assert read(b"", kind=JSON) is None
    assert read(b"model=m", kind="text/plain") is None
    assert read(b"\x00\x01", kind="application/octet-stream") is None


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-URLEncoded; charset=utf-8",
        "multipart/mixed; boundary=x",
        "multipart/related; boundary=x",
        "application/json, multipart/form-data; boundary=x",
        "application/json, application/x-www-form-urlencoded",
    ],
)
@pytest.mark.parametrize("body", [b'{"model":"cheap"}', b"model=dear", b"--x\r\n"])
def test_forms_of_other_types_are_refused(kind: str, body: bytes) -> None:
    with pytest.raises(AmbiguousRequestError):
        read(body, kind=kind)


@pytest.mark.parametrize(
    "query",
    [
        "model=dear",
        "a=1&Model=dear",
        "a=1;model=dear",
        "m%6fdel=dear",
        "m%256fdel=dear",
        "model%3Ddear",
        "model",
        "+model+=dear",
        "model[]=dear",
        "model%5B0%5D=dear",
        "model%00=dear",
        "stream=true",
        "stream_options[include_usage]=false",
        "service_tier=priority",
        "models=dear",
        "background=true",
    ],
)
@pytest.mark.parametrize("body", [b'{"model":"cheap"}', b"", None])
def test_a_query_that_names_what_decides_is_refused(query: str, body: bytes | None) -> None:
    with pytest.raises(AmbiguousRequestError):
        read_request(CHAT, JSON, body, query)


@pytest.mark.parametrize(
    "query", ["", "beta=true", "api-version=2024-10-21", "x=model", "a=b=model"]
)
def test_other_queries_are_no_reason_to_refuse(query: str) -> None:
    assert read_request(CHAT, JSON, b'{"model":"m"}', query) == of(b'{"model":"m"}')


@pytest.mark.parametrize(
    "body",
    [
        {"background": True},
        {"background": 1},
        {"background": "true"},
        {"background": {}},
        {"Background": False},
        {"models": ["dear"]},
        {"fallbacks": [{"cheap": ["dear"]}]},
        {"context_window_fallbacks": ["dear"]},
        {"content_policy_fallbacks": "dear"},
        {"service_tier": "priority"},
        {"service_tier": "Priority"},
        {"service_tier": ["priority"]},
        {"model\x00": "dear", "model": "cheap"},
        {"\x1fmodel": "dear"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/responses", CHAT])
def test_what_no_price_is_for_is_refused(body: dict[str, Any], path: str) -> None:
    """Answers that another request brings, other models, and dearer service."""
    with pytest.raises(AmbiguousRequestError):
        read(body, path)


def test_what_is_served_as_ever_is_not_refused() -> None:
    for tier in (None, "auto", "default", "flex", "standard_only"):
        assert of({"model": "m", "service_tier": tier, "background": False}).model == "m"
    assert of({"model": "m", "background": None, "models": [], "fallbacks": None}).model == "m"
    images = "/v1/images/generations"
    assert of({"model": "m", "background": "transparent"}, images).images == 1
    with pytest.raises(AmbiguousRequestError):
        read({"model": "m", "background": True}, images)


@pytest.mark.parametrize(
    ("prompt", "choices"),
    [(["a"] * 500, 1000), ([[1, 2], [3]], 4), ([1, 2, 3], 2), ("a", 2), ([], 2), (None, 2)],
)
def test_each_prompt_of_a_completion_has_choices(prompt: object, choices: int) -> None:
    assert of({"prompt": prompt, "n": 2}, "/v1/completions").choices == choices
    assert of({"prompt": prompt, "n": 2}).choices == 2


def test_names_that_others_write_with_escapes_are_no_reason_to_refuse() -> None:
    assert of(b'{"k\\u00e9y":1,"mod\\u0065l":"m","x\\"y":[{"model":"z"},"}"]}').model == "m"


@pytest.mark.parametrize("name", [b"a" * 2**22, b"\\n" * 2**21, b"a\\" * 2**21 + b"a"])
def test_a_name_as_long_as_a_body_takes_no_memory(name: bytes) -> None:
    body = b'{"%b":1,"model":"m"}' % name
    tracemalloc.start()
    try:
        with contextlib.suppress(AmbiguousRequestError):
            read(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(body)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), VALUES), max_size=4), st.sampled_from([None, 1]))
def test_a_name_stands_twice_exactly_if_it_is_refused(
    pairs: list[tuple[str, Any]], indent: int | None
) -> None:
    space = " \n" * (indent or 0)
    written = [f"{space}{json.dumps(k)}{space}:{space}{json.dumps(v)}{space}" for k, v in pairs]
    body = ("{" + ",".join(written) + "}").encode()
    if len({name for name, _ in pairs}) == len(pairs):
        assert read(body) is not None
    else:
        with pytest.raises(AmbiguousRequestError):
            read(body)


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text('{}[]":,\\ model0e', max_size=40).map(str.encode))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for kind in (JSON, "text/plain", "multipart/form-data; boundary=b"):
        with contextlib.suppress(AmbiguousRequestError):
            read(body, kind=kind)
