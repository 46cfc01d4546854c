"""A disk without room, in the middle of a record too."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from keyauthority.client.spending.records import SpoolError
from keyauthority.client.spending.spool import Spool
from tests.client.spending.parts import (
    as_held,
    charge,
    charged,
    hold,
    left,
    opened,
    references,
    voided,
)


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file of this process may grow beyond *size*; a write to there is a short one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("more", [0, 1, 16, 17, 100])
async def test_no_room_for_a_hold(folder: Path, more: int) -> None:
    """It is refused, leaves no trace, and spoils nothing that follows when there is room."""
    async with opened(folder) as spool:
        hold(spool, "before")
        segment = segment_in(folder)
        with (
            room(segment.stat().st_size + more),
            pytest.raises(SpoolError, match="can't be written"),
        ):
            hold(spool, "refused")
        hold(spool, "after")
        await charged(spool, charge("before"))
    contents = left(folder)
    assert (contents.torn, contents.unreadable) == (0, 0)
    assert [one.charge for one in contents.ended()] == [charge("before"), as_held("after")]


async def test_no_room_for_an_end(folder: Path) -> None:
    """It raises, is remembered, and found once there is room; till then no hold is written."""
    async with opened(folder) as spool:
        for name in ("one", "two", "open"):
            hold(spool, name)
        with room(100):
            with pytest.raises(SpoolError, match="can't be written"):
                await charged(spool, charge("one"))
            with pytest.raises(SpoolError, match="can't be written"):
                await voided(spool, "two")
            with pytest.raises(SpoolError, match="can't be written"):
                hold(spool, "refused")
            assert spool.unconfirmed(1) == []
        await charged(spool, charge("one"))
        await voided(spool, "two")
        hold(spool, "after")
        assert spool.unconfirmed(1) == [charge("one")]
    contents = left(folder)
    assert (contents.torn, contents.unreadable) == (0, 0)
    ended = [one.charge for one in contents.ended()]
    assert ended == [charge("one"), as_held("open"), as_held("after")]


async def test_no_place_for_a_new_segment(folder: Path) -> None:
    """The one before it goes on."""
    async with opened(folder, segment_bytes=1_000) as spool:
        obstacle = segment_in(folder).with_name("000000000002.segment")
        obstacle.mkdir()
        assert len(held_until_refused(spool)) == 1_000
        await charged(spool, charge("r0"))
        assert spool.unconfirmed(1) == [charge("r0")]
        obstacle.rmdir()
    assert len(left(folder).ended()) == 1_000


async def test_no_room_for_a_spool(folder: Path) -> None:
    """A start is refused, and leaves nothing."""
    with room(10), pytest.raises(SpoolError, match="can't be written: No space"):
        Spool(folder)
    assert list(folder.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB; needs root, to mount it."""
    mount = shutil.which("mount")
    if os.geteuid() or mount is None:
        pytest.skip("needs root and mount, for a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(disk)]
    mounted = subprocess.run([mount, *options], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_full_disk(small_disk: Path) -> None:
    """What was held is charged, whatever was refused; and the spool goes on when there is room."""
    async with opened(small_disk) as spool:
        taken = held_until_refused(spool)
        assert 50 < len(taken) < 1_000
        with pytest.raises(SpoolError, match="No space left on device"):
            await charged(spool, charge("r0"))
        enlarge(small_disk)
        await charged(spool, charge("r0"))
        hold(spool, "after")
    contents = left(small_disk)
    assert (contents.torn, contents.unreadable) == (0, 0)
    assert references([one.charge for one in contents.ended()]) == sorted([*taken, "after"])


async def test_a_disk_that_the_archive_fills(small_disk: Path) -> None:
    """Its older half goes before any request is refused for long."""
    times = [1_790_000_000.0]
    async with opened(small_disk, now=lambda: times[0], segment_bytes=2_000) as spool:
        hold(spool, "open")
        for number in range(300):
            times[0] += 2
            for _ in range(10):
                with suppress(SpoolError):
                    await charged(spool, charge(f"r{number}"))
                    break
                times[0] += 2
            spool.confirmed([f"r{number}"], 1)
        hold(spool, "last")
    assert sorted(left(small_disk).holds) == ["last", "open"]


def held_until_refused(spool: Spool) -> list[str]:
    """What could be held, of a thousand requests at most."""
    taken: list[str] = []
    with suppress(SpoolError):
        for number in range(1_000):
            hold(spool, f"r{number}")
            taken.append(f"r{number}")
    return taken


def enlarge(disk: Path) -> None:
    """There is room again."""
    subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)


def segment_in(folder: Path) -> Path:
    """The only segment of the only spool."""
    (path,) = folder.glob("*.spool/*.segment")
    return path
