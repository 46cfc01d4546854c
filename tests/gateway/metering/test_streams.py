"""Streams are read and passed on alike, however they are cut into chunks."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.metering.answer import answer_reader
from gateway.metering.ends import BOUNDS, Bounds
from keyauthority.pricing.meter import Meter
from keyauthority.pricing.usage import Usage

EVENTS = "text/event-stream; charset=utf-8"


def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": more.pop("end", None)}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    return {**head, "choices": [choice], **more}


def stream(*events: dict[str, Any] | str, end: str = "\n\n", typed: bool = False) -> bytes:
    written = []
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event, separators=(",", ":"))
        name = f"event: {event['type']}{end[: len(end) // 2]}" if typed else ""  # type: ignore[index]
        written.append(f"{name}data: {data}{end}")
    return "".join(written).encode()


class Result(NamedTuple):
    passed: bytes
    usage: Usage | None
    relayed: int
    ended: bool


def read(chunks: Iterable[bytes], *, out: bool = False, bounds: Bounds = BOUNDS) -> Result:
    reader = answer_reader(EVENTS, takes_usage_out=out, bounds=bounds)
    passed = b"".join([*map(reader.feed, chunks)]) + reader.finish()
    return Result(passed, reader.meter.usage, reader.relayed, reader.ended)


USED = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
HELLO = chunk({"role": "assistant", "content": ""})
WORLD = chunk({"content": 'Grüße {"usage":null}, "usage":null'})
STOP = chunk({}, end="stop")
ALONE = {**HELLO, "choices": [], "usage": USED}
PLAIN = stream(HELLO, WORLD, STOP, "[DONE]")
NULLS = [{**event, "usage": None} for event in (HELLO, WORLD, STOP)]
WITH_USAGE = stream(*NULLS, ALONE, "[DONE]")


@pytest.mark.parametrize("out", [False, True])
def test_ends_without_number_and_blank_lines_stay_as_they_are(*, out: bool) -> None:
    """In one piece, which may be of any size, as byte by byte."""
    end = b"data: [DONE]\n\n"
    for text in (end * 2000, stream(NULLS[0]) + end * 2000, stream(ALONE) + b"\n" + end):
        whole, split = read([text], out=out), read([bytes([byte]) for byte in text], out=out)
        assert whole == split


def test_what_asking_brought_is_taken_out_and_nothing_else() -> None:
    result = read([WITH_USAGE], out=True)
    assert result == (PLAIN, Usage(input=9, output=2), 12, True)


def test_without_having_asked_all_passes() -> None:
    result = read([WITH_USAGE])
    assert result == (WITH_USAGE, Usage(input=9, output=2), 12, True)


@pytest.mark.parametrize("out", [False, True])
def test_whole_events_without_usage_pass_as_the_same_objects(out: bool) -> None:
    reader = answer_reader(EVENTS, takes_usage_out=out)
    for event in (stream(HELLO), stream(WORLD, STOP), b": comment\n\n", stream("[DONE]")):
        assert reader.feed(event) is event


def test_chunks_pass_at_once_where_nothing_is_taken_out() -> None:
    reader = answer_reader(EVENTS)
    for start in range(0, len(WITH_USAGE), 7):
        piece = WITH_USAGE[start : start + 7]
        assert reader.feed(piece) is piece


def test_no_chunk_waits_for_longer_than_the_end_of_its_event() -> None:
    reader = answer_reader(EVENTS, takes_usage_out=True)
    first, second = stream(HELLO), stream(WORLD)
    assert reader.feed(first + second[:20]) == first
    assert reader.feed(second[20:-1]) == b""
    assert reader.feed(second[-1:]) == second


MEMBERS = [
    (b'{"choices":[1],"usage":null}', b'{"choices":[1]}'),
    (b'{"usage":null}', b"{}"),
    (b'{"usage":null,"choices":[1]}', b'{"choices":[1]}'),
    (b'{"choices":[1],"usage":null,"obfuscation":"aB3"}', b'{"choices":[1],"obfuscation":"aB3"}'),
    (b'{"choices":[1], "usage" : null , "x": {"y":"}"}}', b'{"choices":[1] , "x": {"y":"}"}}'),
    (b'{"a":{"usage":null},"usage":null}', b'{"a":{"usage":null}}'),
    (b'{"usage":null,"a":{"b":1,"usage":null}}', b'{"a":{"b":1,"usage":null}}'),
    (b'{"a":",\\"usage\\":null","usage":null,"z":1}', b'{"a":",\\"usage\\":null","z":1}'),
    (b'{"a":1,\ndata: "usage":null,\ndata: "z":1}', b'{"a":1,\ndata: \ndata: "z":1}'),
]
# Some write NaN, and cut a character in two.
MEMBERS += [
    (b'{"x":NaN,"usage":null}', b'{"x":NaN}'),
    (
        b'{"choices":[{"delta":{"content":"\\ud83d"}}],"usage":null}',
        b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
    ),
    (
        b'{"usage":null,"choices":[{"delta":{"content":"\\ud83d"}}]}',
        b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
    ),
]
UNCHANGED = [
    b'{"usage":null,"x":' + b"9" * 5_000 + b"}",
    b'{"usage":null,"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"a":{"usage":null}}',
    b'{"a":[{"b":1,"usage":null}]}',
    b'{"choices":[],"usage":null',
    b'{"choices":[1],"usage":null}}',
    b'{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}',
    b'{"choices":[]}',
    b'{"choices":[],"usage":7}',
    b"not json",
    b"[1]",
    b"",
]


@pytest.mark.parametrize(("data", "rest"), [*MEMBERS, *zip(UNCHANGED, UNCHANGED, strict=True)])
def test_only_the_null_of_the_outermost_object_is_taken_out(data: bytes, rest: bytes) -> None:
    assert read([b"data: " + data + b"\n\n"], out=True).passed == b"data: " + rest + b"\n\n"


def test_usage_beside_what_is_no_strict_json_is_read() -> None:
    text = b'data: {"choices":[{"delta":{"content":"\\ud83d"},"x":NaN}],"usage":{"total_tokens":7}}\n\n'
    assert read([text]) == (text, Usage(input=7), 1, False)


ANTHROPIC = stream(
    {"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello!"}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "Hm."},
    },
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}},
    {"type": "message_stop"},
    typed=True,
)
RESPONSES = stream(
    {"type": "response.created", "response": {"id": "r", "usage": None}},
    {"type": "response.output_text.delta", "delta": "Hello!"},
    {"type": "response.output_text.done", "text": "Hello!"},
    {
        "type": "response.completed",
        "response": {
            "usage": {
                "input_tokens": 36,
                "input_tokens_details": {"cached_tokens": 6},
                "output_tokens": 87,
                "output_tokens_details": {"reasoning_tokens": 7},
                "total_tokens": 123,
            }
        },
    },
    typed=True,
)
TOOLS = stream(
    chunk(
        {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}]}
    ),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":12345}'}}]}),
    chunk({"reasoning_content": "1234"}, usage=USED),
    "[DONE]",
)
COMPLETIONS = stream(
    {"object": "text_completion", "choices": [{"text": "Hello!", "index": 0}], "usage": None},
    {"object": "text_completion", "choices": [], "usage": USED},
    "[DONE]",
)
IMAGES = stream(
    {"type": "image_generation.partial_image", "b64_json": "aA=="},
    {
        "type": "image_generation.completed",
        "b64_json": "aGk=",
        "usage": {"input_tokens": 50, "output_tokens": 100, "total_tokens": 150},
    },
    typed=True,
)
TRANSCRIPTION = stream(
    {"type": "transcript.text.delta", "delta": "Hello!"},
    {
        "type": "transcript.text.done",
        "text": "Hello!",
        "usage": {
            "type": "tokens",
            "input_tokens": 14,
            "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
            "output_tokens": 45,
            "total_tokens": 59,
        },
    },
    typed=True,
)


@pytest.mark.parametrize(
    ("answer", "usage", "relayed"),
    [
        (ANTHROPIC, Usage(input=25, output=15), 3 + 3),
        (RESPONSES, Usage(input=30, cached_input=6, output=80, reasoning=7), 2),
        (TOOLS, Usage(input=9, output=2), 5),
        (COMPLETIONS, Usage(input=9, output=2), 2),
        (IMAGES, Usage(input=50, output=100, images=1), 0),
        (TRANSCRIPTION, Usage(input=4, audio_input=10, output=45), 2),
    ],
    ids=["anthropic", "responses", "tools", "completions", "images", "transcription"],
)
def test_streams_of_the_documented_endpoints(answer: bytes, usage: Usage, relayed: int) -> None:
    result = read([answer])
    assert (result.usage, result.ended) == (usage, True)
    assert result.relayed in (relayed, relayed + 1)


def test_pictures_and_usage_beside_a_null_are_read() -> None:
    reader = answer_reader(EVENTS)
    picture = {"type": "image_edit.completed", "b64_json": "aGk="}
    reader.feed(stream(picture, {**picture, "usage": None}))
    assert reader.images == 2
    reader.feed(stream({"usage": None, "response": {"usage": {"total_tokens": 7}}}))
    assert reader.meter.usage == Usage(input=7, images=2)


def test_an_interrupted_stream_has_no_end_and_the_usage_that_it_told() -> None:
    result = read([ANTHROPIC[: ANTHROPIC.index(b"event: message_delta")]])
    assert (result.usage, result.ended) == (Usage(input=25, output=1), False)


def test_the_last_event_may_lack_its_blank_line() -> None:
    for end in (b"", b"\n", b"\r", b"\r\n"):
        last = stream(ALONE).rstrip() + end
        assert read([PLAIN, last], out=True) == (PLAIN, Usage(input=9, output=2), 12, True)
    assert read([stream(HELLO), b"data: [DONE]"]).ended


def test_streams_by_the_rules_of_whatwg() -> None:
    lines = b'\xef\xbb\xbf: hi\r\ndata:{\r\ndata: "choices":[],\r\nid: 7\r\ndata\r\ndata:"usage":'
    used = json.dumps(USED).encode()
    text = lines + used + b"}\r\n\r\nretry: 10\n\ndata:[DONE]\r\r"
    result = read([text])
    assert (result.usage, result.ended, result.passed) == (Usage(input=9, output=2), True, text)
    assert read([text], out=True).passed == b"retry: 10\n\ndata:[DONE]\r\r"


VARIED = b"".join(
    [
        b"\xef\xbb\xbf: ping\n\n\n",
        stream(NULLS[0], end="\r\n\r\n"),
        stream(NULLS[1], ALONE, end="\r\r"),
        stream(ALONE, end="\r\n\r"),
        stream(NULLS[2], ALONE, ALONE, end="\r\n\r\n"),
        b'data: {"x":1,\r\ndata: "usage":null}\n\r\n',
        stream(ALONE, end="\n\r"),
        b"data: broken\n\n",
        ANTHROPIC,
        stream(NULLS[1], ALONE, "[DONE]"),
        b'data: {"usage":null',
    ]
)
WHOLE = {out: read([VARIED], out=out) for out in (False, True)}


def split(text: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(cuts), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(places)]


@settings(deadline=None)
@given(st.lists(st.integers(0, len(VARIED)), max_size=40), st.booleans())
@example(list(range(len(VARIED))), True)
@example(list(range(len(VARIED))), False)
def test_any_chunks_are_read_and_passed_on_alike(cuts: list[int], out: bool) -> None:
    assert read(split(VARIED, cuts), out=out) == WHOLE[out]


@pytest.mark.parametrize("out", [False, True])
def test_two_chunks_cut_near_every_end_of_a_line(out: bool) -> None:
    for place in range(len(VARIED)):
        if len(VARIED[max(place - 2, 0) : place + 2].splitlines()) > 1:
            assert read(split(VARIED, [place]), out=out) == WHOLE[out]


def test_a_line_feed_belongs_to_the_return_right_before_it_alone() -> None:
    pieces = [stream(ALONE, end="\r\r"), stream(ALONE), b"\n" + PLAIN]
    assert read(pieces, out=True) == read([b"".join(pieces)], out=True)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([b"data: x", b'data: {"usage":null}', *stream(ALONE).split(b"\n\n")[:1]])
    ),
    st.lists(st.sampled_from([b"\n", b"\r", b"\r\n"]), min_size=1),
    st.data(),
)
def test_any_ends_of_lines_and_any_chunks(
    lines: list[bytes], ends: list[bytes], data: st.DataObject
) -> None:
    text = b"".join(line + b"".join(data.draw(st.permutations(ends))) for line in lines)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=10))
    for out in (False, True):
        assert read(split(text, cuts), out=out) == read([text], out=out)


@pytest.mark.parametrize("data", [b'{"a":1,"usage":null}', b'{"usage":null,"a":1}'])
def test_a_byte_order_mark_stays(data: bytes) -> None:
    mark = b"\xef\xbb\xbf"
    assert read([mark + b"data:" + data + b"\n\n"], out=True).passed == mark + b'data:{"a":1}\n\n'


def test_an_event_that_is_too_large_passes_unread() -> None:
    bounds = Bounds(event=300)
    large = b'data: {"usage":null,"x":"' + b"a" * 400 + b'"}\n\n'
    text = stream(NULLS[0], end="\r\n\r\n") + large + WITH_USAGE
    whole = read([text], out=True, bounds=bounds)
    assert whole.passed == stream(HELLO, end="\r\n\r\n") + large + PLAIN
    for size in (1, 7, 250, 500):
        pieces = split(text, range(0, len(text), size))
        assert read(pieces, out=True, bounds=bounds) == whole
        assert read(pieces, bounds=bounds).passed == text


def test_a_large_event_without_an_end_passes_once() -> None:
    bounds = Bounds(event=300)
    text = b"data: " + b"a" * 400
    assert read([text], out=True, bounds=bounds).passed == text
    assert read(split(text, range(0, len(text), 50)), out=True, bounds=bounds).passed == text


@pytest.mark.parametrize("out", [False, True])
@pytest.mark.parametrize("size", [1, 64, 5_000])
def test_the_usage_of_an_event_that_is_too_large_is_read(size: int, out: bool) -> None:
    bounds = Bounds(event=500, end=300)
    used = {"input_tokens": 5, "output_tokens": 7}
    response = {"instructions": "a" * 900, "usage": used, "metadata": {"usage": "x"}}
    for value in ({"type": "response.completed", "response": response}, response):
        text = stream(value)
        assert read(split(text, range(0, len(text), size)), out=out, bounds=bounds)[:2] == (
            text,
            Usage(input=5, output=7),
        )
        assert read([text.rstrip()], bounds=bounds)[:2] == (text.rstrip(), Usage(input=5, output=7))


def test_long_events_take_time_by_their_length() -> None:
    event = b'data: {"x":"%b"}\n\n' % (b"a" * (7 * 2**20))
    start = time.process_time()
    reader = answer_reader(EVENTS)
    for place in range(0, len(event), 2_048):
        reader.feed(event[place : place + 2_048])
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("event", "due"),
    [
        (chunk({"content": "a"}), False),
        (chunk({}, end="stop"), True),
        (chunk({}, end="stop", usage={"prompt_tokens": 1, "completion_tokens": 9}), False),
        ({"choices": [{"text": "a", "finish_reason": "length"}]}, True),
        ({"type": "content_block_delta", "delta": {"text": "a"}}, False),
        ({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, True),
        ({"type": "message_delta", "usage": {"output_tokens": 5}}, False),
        ({"type": "response.output_text.delta", "delta": "a"}, False),
        ({"type": "response.output_text.done", "text": "a"}, True),
        ({"type": "response.completed", "response": {"usage": None}}, False),
    ],
)
def test_when_a_usage_is_due(event: dict[str, Any], due: bool) -> None:
    """Once the answer is made: who leaves then would have the hidden part of it free."""
    reader = answer_reader(EVENTS)
    assert not reader.usage_due
    reader.feed(stream(chunk({"content": "b"})) + stream(event))
    assert reader.usage_due is due
    reader.feed(stream("[DONE]"))
    assert not reader.usage_due


@pytest.mark.parametrize(
    "event",
    [
        chunk({"images": [{"image_url": {"url": "data:image/png;base64," + "QUJD" * 99}}]}),
        chunk({"content": "data:image/png;base64," + "QUJD" * 99}),
        chunk({"audio": {"id": "a", "data": "QUJD" * 99}}),
        {"type": "response.output_audio.delta", "delta": "QUJD" * 99},
        {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "QUJD"}},
        {"type": "image_generation.partial_image", "b64_json": "QUJD" * 99},
    ],
)
def test_files_are_no_text(event: dict[str, Any]) -> None:
    reader = answer_reader(EVENTS)
    reader.feed(stream(event))
    assert reader.relayed == 0


def test_calls_of_a_tool_for_images_are_counted() -> None:
    item = {"type": "image_generation_call", "result": "QUJD"}
    done = stream({"type": "response.output_item.done", "item": item})
    used = {"output": [item, item], "usage": {"input_tokens": 5, "output_tokens": 7}}
    reader = answer_reader(EVENTS)
    reader.feed(done + done)
    assert reader.images == 2
    reader.feed(stream({"type": "response.completed", "response": used}))
    assert reader.images == 2


def test_what_is_held_back_is_bounded() -> None:
    bounds = Bounds(event=1_000)
    reader = answer_reader(EVENTS, takes_usage_out=True, bounds=bounds)
    passed = sum(len(reader.feed(b"a" * 100)) for _ in range(50))
    assert passed >= 4_000


MORE_USED = {**USED, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 4}}
TELLING = [
    ALONE,
    {**ALONE, "usage": MORE_USED},
    {**ALONE, "usage": {**USED, "total_tokens": -1}},
    {**ALONE, "usage": {**USED, "queue_time": 0.5}},
    {**ALONE, "meta": {"billed_units": {"input_tokens": 99}}},
    {**ALONE, "message": {"usage": {"input_tokens": 99}}},
    {**ALONE, "response": {"usage": {"input_tokens": 99}}},
    {**ALONE, "data": [{"url": "u"}]},
    {**ALONE, "output": [{"type": "image_generation_call"}]},
    {**ALONE, "type": "message_start"},
    {**ALONE, "type": "response.created"},
    {**ALONE, "delta": {"content": "abc"}},
    {**WORLD, "usage": USED},
    {**STOP, "usage": MORE_USED},
    {"type": "message_delta", "usage": {"output_tokens": 7}},
    {**ALONE, "usage": None},
    WORLD,
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(TELLING), max_size=4), st.booleans(), st.booleans())
def test_a_usage_that_is_read_in_one_step_is_what_the_meter_makes_of_it(
    events: list[dict[str, Any]], out: bool, together: bool
) -> None:
    """Whatever else the stream tells, before it and after it."""
    pieces = [stream(event) for event in events] + [stream("[DONE]")]
    reader, general = (answer_reader(EVENTS, takes_usage_out=out) for _ in range(2))
    meter = Meter()
    passed = b"".join(map(reader.feed, [b"".join(pieces)] if together else pieces))
    for event in events:
        meter.read(event)
    # Blanks have each event read in all its parts.
    spaced = [piece.replace(b'"choices":[]', b'"choices": []') for piece in pieces]
    rest = b"".join(map(general.feed, spaced))
    assert passed == rest.replace(b'"choices": []', b'"choices":[]')
    assert general.plain_counts is None
    if reader.plain_counts is not None:
        assert meter.usage is not None
        assert (reader.plain_counts, True) == (meter.usage.counts, meter.final)
    due = reader.usage_due
    assert (due, reader.text_bytes) == (general.usage_due, general.text_bytes)
    assert (reader.meter.usage, reader.meter.final) == (meter.usage, meter.final)
    assert (reader.images, reader.usage_due) == (meter.images, due)


def test_the_usage_of_most_streams_is_read_in_one_step() -> None:
    reader = answer_reader(EVENTS, takes_usage_out=True)
    reader.feed(WITH_USAGE)
    assert reader.plain_counts == {"input": 9, "output": 2}
    assert reader.meter.usage == Usage(input=9, output=2)


def test_a_coded_stream_passes_unread() -> None:
    reader = answer_reader(EVENTS, "gzip", takes_usage_out=True)
    assert reader.feed(WITH_USAGE) is WITH_USAGE
    assert reader.finish() == b""
    assert (reader.meter.usage, reader.relayed, reader.ended) == (None, 0, False)
