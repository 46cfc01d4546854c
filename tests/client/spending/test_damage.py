"""Files that a power cut tore or a disk corrupted: cut at any byte, changed in any byte."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyauthority.client.spending import records
from keyauthority.client.spending.frames import HEAD, Damage, frame, frames
from keyauthority.client.spending.recovery import Contents, read, recover
from keyauthority.client.spending.segments import path_of
from tests.client.spending.parts import as_held, charge, opened


def held(reference: str) -> bytes:
    """The frame of a hold."""
    return records.held(1, records.fields(as_held(reference)))


def ended(reference: str) -> bytes:
    """The frame of its charge."""
    one = charge(reference)
    return records.charged(2, records.fields(one), one)


RECORDS = [
    records.begun(1, "boot", 3),
    held("open"),
    records.carried(1),
    held("ended"),
    held("void"),
    held("confirmed"),
    ended("ended"),
    records.voided("void"),
    ended("confirmed"),
    records.confirmed(3, ["confirmed"]),
]
SEGMENT = b"".join(RECORDS)
STARTS = [sum(map(len, RECORDS[:number])) for number in range(len(RECORDS) + 1)]


def test_every_record_is_read_as_it_was_written() -> None:
    """Nothing is lost between the disk and back."""
    payloads = [part for part in frames(SEGMENT) if isinstance(part, bytes)]
    assert [records.decoded(payload) for payload in payloads] == [
        records.Begun(1, 1, "boot", 3),
        records.Held(1, as_held("open")),
        records.Carried(1),
        records.Held(1, as_held("ended")),
        records.Held(1, as_held("void")),
        records.Held(1, as_held("confirmed")),
        records.Charged(2, charge("ended")),
        records.Voided("void"),
        records.Charged(2, charge("confirmed")),
        records.Confirmed(3, ("confirmed",)),
    ]


@given(st.integers(0, len(SEGMENT)), st.binary(max_size=3).map(lambda zeros: b"\0" * len(zeros)))
def test_a_torn_segment(length: int, zeros: bytes) -> None:
    """What is whole before the tear is read; what is torn is no damage in the middle."""
    parts = list(frames(SEGMENT[:length] + zeros))
    whole = sum(start <= length for start in STARTS[1:])
    payloads = [one[HEAD:] for one in RECORDS[:whole]]
    torn = length > STARTS[whole] or bool(zeros)
    if not torn:
        assert parts == payloads
        return
    *read_parts, damage = parts
    assert read_parts == payloads
    assert damage == Damage(STARTS[whole], length + len(zeros) - STARTS[whole], torn=True)


@given(st.integers(0, len(SEGMENT) - 1), st.integers(1, 255))
def test_a_changed_byte(at: int, change: int) -> None:
    """One record is unreadable, and said to be; all others are read, before and after it."""
    content = bytearray(SEGMENT)
    content[at] ^= change
    parts = list(frames(bytes(content)))
    changed = sum(start <= at for start in STARTS[1:])
    payloads = [one[HEAD:] for one in RECORDS[:changed] + RECORDS[changed + 1 :]]
    assert [part for part in parts if isinstance(part, bytes)] == payloads
    (damage,) = (part for part in parts if isinstance(part, Damage))
    assert (damage.offset, damage.length) == (STARTS[changed], len(RECORDS[changed]))


@given(st.binary(max_size=300), st.text(max_size=100))
def test_what_precedes_a_record_does_not_spoil_it(rubbish: bytes, model: str) -> None:
    """Not even a text that a client sent, in a record that is torn."""
    trap = records._encode([model, frame('["void","open"]').decode()])
    torn = frame(trap)[: HEAD + len(trap) - 1]
    parts = list(frames(rubbish + torn + held("open")))
    assert parts[-1] == held("open")[HEAD:]
    assert b'["void","open"]' not in parts


async def test_a_torn_tail_after_a_death(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted, and whatever is whole is found."""
    contents = recovered(folder, SEGMENT[:-5])
    assert (contents.torn, contents.unreadable) == (1, 0)
    assert [one.charge for one in contents.ended()] == [
        charge("ended"), charge("confirmed"), as_held("open"),
    ]  # fmt: skip
    assert "spool_torn" in caplog.text


async def test_an_unreadable_record(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An end that can't be read leaves its hold, charged as held; and that is said, with the place."""
    caplog.set_level(logging.ERROR)
    content = bytearray(SEGMENT)
    content[STARTS[6] + 40] ^= 1
    contents = recovered(folder, bytes(content))
    assert (contents.torn, contents.unreadable) == (0, 1)
    assert [one.charge for one in contents.ended()] == [as_held("open"), as_held("ended")]
    assert f"spool_unreadable: {path_of(folder, 1)}, {len(RECORDS[6])} bytes at {STARTS[6]}" in (
        caplog.text
    )


@given(st.integers(0, STARTS[3] - 1), st.integers(1, 255))
def test_what_is_unreadable_of_what_was_carried_over(at: int, change: int) -> None:
    """The earlier segment says it."""
    import tempfile  # noqa: PLC0415 (a folder an example)

    content = bytearray(SEGMENT)
    content[at] ^= change
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = [records.begun(1, "boot", 3), records.carried(0), held("open")]
        path_of(folder, 1).write_bytes(b"".join(first))
        contents = recovered(folder, bytes(content), number=2)
    open_hold = [one.charge for one in contents.ended()]
    assert open_hold == [charge("ended"), as_held("open")]
    assert contents.unreadable == 1


def test_what_earlier_segments_say_is_over(folder: Path) -> None:
    """The newest one says all: the end of a hold may be missing where it could not be written."""
    first = [records.begun(1, "boot", 3), records.carried(0), held("void")]
    path_of(folder, 1).write_bytes(b"".join(first))
    contents = recovered(folder, records.begun(1, "boot", 3) + records.carried(0), number=2)
    assert contents.ended() == []


def test_a_record_of_no_known_kind(folder: Path) -> None:
    """It is unreadable, and no crash, whatever stands there under a right checksum."""
    for payload in ('["?"]', "[]", "7", '["hold",1]', '{"a":1}', '["void",1,2]', "[[]]"):
        contents = recovered(folder, SEGMENT + frame(payload) + held("after"))
        assert (contents.unreadable, "after" in contents.holds) == (1, True), payload


async def test_a_newer_version(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A spool of a newer program stays where it is, and a sentence says what to do."""
    newer = folder / "0123456789abcdef.spool"
    newer.mkdir()
    content = frame('["spool",2,"what it says"]') + frame('["what",2]')
    path_of(newer, 1).write_bytes(content)

    async with opened(folder) as spool:
        assert await spool.adopt() == []

    assert path_of(newer, 1).read_bytes() == content
    assert "has version 2 of the format, and this program reads up to 1" in caplog.text
    assert "start the newer program" in caplog.text


def test_a_segment_that_is_gone(folder: Path) -> None:
    """Whoever wants to read it gets a sentence."""
    with pytest.raises(records.SpoolError, match=r"can't be read: No such file"):
        list(read(folder / "none"))


def recovered(folder: Path, content: bytes, number: int = 1) -> Contents:
    """What is found in a spool whose newest segment has *content*."""
    path_of(folder, number).write_bytes(content)
    return recover(folder)
