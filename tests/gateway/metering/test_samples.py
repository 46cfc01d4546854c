"""Events that are known by an earlier one are read and passed on as if they were read each by itself."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.metering.answer import answer_reader
from gateway.metering.ends import BOUNDS, Bounds
from gateway.metering.samples import sample_of
from gateway.metering.streams import EventReader
from keyauthority.pricing.usage import Usage
from tests.observing import calls_of

EVENTS = "text/event-stream"
TEXTS = (
    st.sampled_from(
        ["", " word", "Grüße", "\n\n", '"', "\\", "data:x;base64,AA", "a" * 201, "[DONE]"]
    )
    | st.sampled_from(['","usage":{"total_tokens":7},"x":"', ",", "\x7f", "\u2028"])
    | st.text(max_size=20)
)


def chat(text: str, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"id": "c", "choices": [choice], **more}


def reasoning(text: str) -> dict[str, Any]:
    delta = {"role": "assistant", "content": "abc", "reasoning_content": text}
    return {"choices": [{"index": 0, "delta": delta}], "usage": None}


def message(text: str) -> dict[str, Any]:
    delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


SHAPES = [
    chat,
    lambda text: chat(text, usage=None),
    lambda text: {"usage": None, **chat(text)},
    lambda text: chat(text, usage={"prompt_tokens": 3, "completion_tokens": 1}),
    lambda text: chat(text, x={"content": text}),
    lambda text: {"choices": [{"text": text, "finish_reason": None}], "usage": None},
    lambda text: {"choices": [{"text": text, "finish_reason": "stop"}], "usage": None},
    lambda text: {"type": "response.output_text.delta", "delta": text},
    lambda text: {"type": "response.output_audio.delta", "delta": text},
    lambda text: {"type": "response.output_text.done", "text": text},
    reasoning,
    message,
]


def event(value: dict[str, Any], *, ascii_only: bool, name: str) -> bytes:
    data = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    return f"{name}data: {data}\n\n".encode(errors="surrogatepass")


Result = tuple[list[bytes], Usage | None, int, bool, bool]


def read(chunks: list[bytes], *, out: bool, bounds: Bounds = BOUNDS) -> Result:
    reader = answer_reader(EVENTS, takes_usage_out=out, bounds=bounds)
    passed = [reader.feed(chunk) for chunk in chunks]
    passed.append(reader.finish())
    return passed, reader.meter.usage, reader.relayed, reader.ended, reader.usage_due


def read_each(chunks: list[bytes], *, out: bool) -> Result:
    return read(chunks, out=out, bounds=BOUNDS._replace(looks=0))


@settings(deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.lists(TEXTS, min_size=2, max_size=6),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "event: x\n", "id: 1\n"]),
)
def test_known_events_are_read_as_others(
    shape: Any, texts: list[str], out: bool, ascii_only: bool, name: str
) -> None:
    chunks = [event(shape(text), ascii_only=ascii_only, name=name) for text in ["abc", *texts]]
    assert read(chunks, out=out) == read_each(chunks, out=out)
    together = [chunks[0], b"".join(chunks), b"".join(chunks[:2]), chunks[1] + b"data: x"]
    assert read(together, out=out) == read_each(together, out=out)


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=4) | st.sampled_from([b"a", b'"', b"\n\n", b"\r", b"\xff"])),
    st.booleans(),
)
def test_whatever_stands_in_the_place_of_a_text(pieces: list[bytes], out: bool) -> None:
    start, end = event(chat("abc", usage=None), ascii_only=True, name="").split(b"abc")
    chunks = [start + b"abc" + end, start + end, start[:-1] + end, start + b"".join(pieces) + end]
    chunks += [start + piece + end for piece in pieces] + [start[:9], start[9:] + b"abc" + end]
    # Half a character at the end of an event, and its other half in the next.
    chunks += [start + "ü".encode()[:1] + end + start + "ü".encode()[1:] + end, b"".join(chunks)]
    assert read(chunks, out=out) == read_each(chunks, out=out)


def test_most_events_of_a_stream_are_known() -> None:
    chunks = [event(chat(f"w{number}"), ascii_only=True, name="") for number in range(50)]
    size = sum(len(f"w{number}") for number in range(50))
    for several in (1, 5, 50):
        joined = [b"".join(chunks[at : at + several]) for at in range(1, 50, several)]
        with calls_of(EventReader._read) as events:
            assert read([chunks[0], *joined], out=True)[2] == -(-size // 3)
        assert len(events) == 1


def test_of_a_stream_without_two_alike_few_samples_are_taken() -> None:
    chunks = [event(chat("abc", number=n), ascii_only=True, name="") for n in range(50)]
    with calls_of(sample_of) as samples:
        read(chunks, out=False)
    assert 0 < len(samples) <= 8
