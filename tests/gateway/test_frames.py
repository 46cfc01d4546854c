"""Frames of websockets: where they end, however they arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.frames import Frames, close_frame


def frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    size, mark = len(payload), 0x80 if masked else 0
    if size < 126:
        head = bytes((opcode, mark | size))
    elif size < 65536:
        head = bytes((opcode, mark | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((opcode, mark | 127)) + size.to_bytes(8, "big")
    return head + (b"mask" if masked else b"") + payload


@given(
    st.lists(st.tuples(st.sampled_from((0x81, 0x02, 0x80, 0x89, 0x8A)), st.sampled_from((0, 1, 125, 126, 300, 65536))), max_size=5),
    st.booleans(),
    st.lists(st.integers(1, 70_000), max_size=12),
    st.booleans(),
)  # fmt: skip
def test_a_frame_may_begin_where_another_has_ended(
    shapes: list[tuple[int, int]], masked: bool, cuts: list[int], closes: bool
) -> None:
    """In whatever pieces it comes; the last one, alone, says that it ends."""
    parts = [frame(opcode, b"\x88" * size, masked=masked) for opcode, size in shapes]
    if closes:
        parts.append(close_frame(1000, "done", masked=masked))
    whole = b"".join(parts)
    ends = {0}
    for part in parts:
        ends.add(max(ends) + len(part))
    frames, at = Frames(), 0
    while at < len(whole):
        piece = whole[at : at + (cuts.pop() if cuts else 70_000)]
        frames.feed(piece)
        at += len(piece)
        assert frames.between == (at in ends)
    assert frames.closed == closes


def test_a_close_frame_says_why() -> None:
    """The upstream unmasks it; both read code and reason."""
    plain = close_frame(1008, "invalid_key", masked=False)
    masked = close_frame(1008, "invalid_key", masked=True)

    assert plain == b"\x88\x0d\x03\xf0invalid_key"
    assert masked[:2] == b"\x88\x8d"
    mask, hidden = masked[2:6], masked[6:]
    assert bytes(byte ^ mask[at % 4] for at, byte in enumerate(hidden)) == plain[2:]
