"""What people read of a spool."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from keyauthority.client.spending.records import SpoolError
from keyauthority.client.spending.showing import show
from tests.client.spending.parts import CHARGE, charge, charged, hold, opened, voided


async def test_a_line_for_each_record(folder: Path) -> None:
    """With everything that a dispute is about, while it is being written."""
    async with opened(folder) as spool:
        for name in ("one", "two", "three"):
            hold(spool, name)
        await charged(spool, charge("one"))
        await voided(spool, "two")
        spool.confirmed(["one"], 3)
        (path,) = folder.iterdir()
        assert list(show(folder)) == [
            (
                f"{path}: 1 holds without an end, 0 charges to be confirmed, 0 unreadable places; all "
                "others are confirmed in epoch 3"
            ),
            "000000000001.segment:",
            "  2026-09-21T14:13:20Z begun, version 1",
            "  the 0 records above are carried over",
            *(f"  2026-09-21T14:13:20Z hold {name} {REQUEST}" for name in ("one", "two", "three")),
            (
                "  2026-09-21T14:13:20Z charge 1234 nano-credits, status 200, input=10 output=20, one "
                f"{REQUEST}"
            ),
            "  void two",
            "  all else that ended is confirmed in epoch 3",
            "  confirmed in epoch 3: one",
        ]


REQUEST = (
    "of ws_1, 1000 nano-credits held, key key_1, model 'gpt-4o \u2713', path "
    "'/v1/chat/completions', request 'req_1'"
)


async def test_what_a_client_sent_is_no_command(folder: Path) -> None:
    """The name of a model can't clear the screen."""
    async with opened(folder) as spool:
        await charged(spool, replace(CHARGE, model="\x1b[2J"))
        assert not any("\x1b" in line for line in show(folder))


async def test_damage_is_shown(folder: Path) -> None:
    """A line says where."""
    async with opened(folder) as spool:
        hold(spool, "one")
    (segment,) = folder.glob("*/*.segment")
    size = segment.stat().st_size
    segment.write_bytes(segment.read_bytes() + b"\n0000")
    assert list(show(folder))[-1] == f"  torn: 5 bytes at {size}"


def test_no_folder(folder: Path) -> None:
    """A wrong path is a sentence."""
    with pytest.raises(SpoolError, match="none is no folder"):
        list(show(folder / "none"))
