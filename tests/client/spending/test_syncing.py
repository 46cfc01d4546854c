"""What is on the disk when a call returns: one fsync for many, and none that failed is trusted."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from keyauthority.client.spending.group_commit import INTERVAL, MOST_HOLDS, PAUSE
from keyauthority.client.spending.records import SpoolError
from keyauthority.client.spending.recovery import recover
from keyauthority.client.spending.spool import Spool
from tests.client.spending.disks import Disk, Gate
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


async def test_one_fsync_serves_all_who_wait(folder: Path) -> None:
    """A hundred ends take one fsync if none is under way, and those that come meanwhile one more."""
    gate = Gate()
    async with opened(folder, fsync=gate.fsync) as spool:
        await asyncio.gather(*(charged(spool, charge(f"r{number}")) for number in range(100)))
        assert gate.count == 1

        gate.open.clear()
        first = asyncio.ensure_future(charged(spool, charge("first")))
        await until(lambda: gate.count == 2)
        others = [asyncio.ensure_future(voided(spool, f"x{number}")) for number in range(50)]
        others += [
            asyncio.ensure_future(charged(spool, charge(f"o{number}"))) for number in range(50)
        ]
        await asyncio.sleep(0)
        assert len(left(folder).charges) == 151
        gate.open.set()
        await asyncio.gather(first, *others)
        assert gate.count == 3


async def test_an_end_waits_for_others_unless_somebody_waits_for_it(folder: Path) -> None:
    """For milliseconds: many end in them, and share an fsync."""
    gate = Gate()
    async with opened(folder, fsync=gate.fsync) as spool:
        # On a busy machine, once in a few times.
        assert 0 in [await fsyncs_after_an_end(spool, gate, hurry=False) for _ in range(5)]
        assert 1 in [await fsyncs_after_an_end(spool, gate, hurry=True) for _ in range(5)]


async def fsyncs_after_an_end(spool: Spool, gate: Gate, *, hurry: bool) -> int:
    """Returns how many there were a few milliseconds after an end, which is synced then."""
    before = gate.count
    number = spool.end([charge(f"r{before}")], [])
    if hurry:
        spool.hurry()
    await asyncio.sleep(PAUSE * 0.4)
    fsyncs = gate.count - before
    await until(lambda: spool._journal.synced >= number)
    return fsyncs


async def test_nobody_waits_for_an_fsync_that_began_before(folder: Path) -> None:
    """An end that is written while one is under way returns after the next."""
    gate = Gate()
    async with opened(folder, fsync=gate.fsync) as spool:
        gate.open.clear()
        first = asyncio.ensure_future(charged(spool, charge("first")))
        await until(lambda: gate.count == 1)
        second = asyncio.ensure_future(charged(spool, charge("second")))
        await asyncio.sleep(0)
        gate.open.set()
        await first
        assert not second.done()
        assert spool.unconfirmed(1) == [charge("first")]
        await second
        assert gate.count == 2


async def test_holds_are_synced_soon(folder: Path) -> None:
    """After 100 ms, though nothing follows; and after many at once."""
    gate = Gate()
    async with opened(folder, fsync=gate.fsync) as spool:
        hold(spool, "one")
        await until(lambda: gate.count == 1)
        # On a busy machine, once in a few times.
        assert min([await until_synced(spool, gate) for _ in range(5)]) < INTERVAL / 2


async def until_synced(spool: Spool, gate: Gate) -> float:
    """Seconds from the last of many holds until they are synced."""
    await asyncio.sleep(0.05)
    count = gate.count
    for number in range(MOST_HOLDS):
        hold(spool, f"r{number}")
    begun = time.monotonic()
    await until(lambda: gate.count > count)
    return time.monotonic() - begun


async def test_a_cancelled_wait(folder: Path) -> None:
    """Whoever stops waiting for an end has ended the hold all the same, and disturbs nobody."""
    gate = Gate()
    async with opened(folder, fsync=gate.fsync) as spool:
        gate.open.clear()
        waiting = [asyncio.ensure_future(charged(spool, charge(name))) for name in ("a", "b")]
        await until(lambda: gate.count == 1)
        waiting[0].cancel()
        await asyncio.sleep(0)
        gate.open.set()
        await waiting[1]
        assert references(spool.unconfirmed(1)) == ["a", "b"]


async def test_an_fsync_that_fails_once(folder: Path, tmp_path: Path) -> None:
    """What it was to write is in the next segment, and nobody hears of it."""
    failures = iter([False, True])
    disk = Disk(lambda: next(failures, False))
    async with opened(folder, fsync=disk.fsync) as spool:
        hold(spool, "open")
        await charged(spool, charge("before"))
        hold(spool, "void")
        await asyncio.gather(charged(spool, charge("during")), voided(spool, "void"))
        await charged(spool, charge("after"))
        assert len(set(disk.synced)) == 2
        assert references(spool.unconfirmed(1)) == ["after", "before", "during"]
        (path,) = disk.power_cut(folder, tmp_path / "left").iterdir()
    found = [one.charge for one in recover(path).ended()]
    assert found == [charge("before"), charge("during"), charge("after"), as_held("open")]


async def test_a_disk_that_syncs_nothing(folder: Path) -> None:
    """Ends raise, holds are refused, nothing is sent; what ended is there when the disk is again."""
    disk = Disk()
    async with opened(folder, fsync=disk.fsync) as spool:
        hold(spool, "one")
        hold(spool, "two")
        hold(spool, "open")
        await charged(spool, charge("good"))
        disk.fails = lambda: True
        with pytest.raises(SpoolError, match="can't be written: Input/output error"):
            await charged(spool, charge("one"))
        with pytest.raises(SpoolError, match="Input/output error"):
            await voided(spool, "two")
        with pytest.raises(SpoolError, match="Input/output error"):
            hold(spool, "refused")
        assert spool.unconfirmed(1) == [charge("good")]
        assert spool.state().holds == 1
        for _ in range(20):
            with pytest.raises(SpoolError):
                await charged(spool, charge("one"))
        (path,) = folder.iterdir()
        assert len(list(path.iterdir())) <= 3

        disk.fails = lambda: False
        await charged(spool, charge("one", cost=9))
        hold(spool, "three")
        assert spool.unconfirmed(1) == [charge("good"), charge("one")]
    ended = [one.charge for one in left(folder).ended()]
    assert ended == [charge("good"), charge("one"), as_held("open"), as_held("three")]


async def test_a_disk_that_comes_back_is_noticed(folder: Path) -> None:
    """Without any further call but holds, which are refused till then."""
    disk = Disk(lambda: True)
    async with opened(folder, fsync=disk.fsync) as spool:
        hold(spool, "one")
        await until(lambda: is_refused(lambda: hold(spool, "two")))
        disk.fails = lambda: False
        await until(lambda: not is_refused(lambda: hold(spool, "two")))
    assert sorted(left(folder).holds) == ["one", "two"]


@pytest.mark.parametrize("seed", range(25))
async def test_power_cuts(folder: Path, tmp_path: Path, seed: int) -> None:
    """At any moment, on a disk where fsyncs fail now and then: what had returned is found."""
    chance = random.Random(seed)
    disk = Disk(lambda: chance.random() < 0.2)
    async with opened(folder, fsync=disk.fsync, segment_bytes=3_000) as spool:
        ended: dict[str, int | None] = {}
        begun: list[str] = []

        async def request(name: str) -> None:
            try:
                hold(spool, name)
            except SpoolError:
                return
            begun.append(name)
            await asyncio.sleep(chance.random() / 100)
            cost = chance.choice([None, 5, 70])
            await insist(
                lambda: charged(spool, charge(name, cost)) if cost else voided(spool, name)
            )
            ended[name] = cost

        requests = [asyncio.ensure_future(request(f"r{number}")) for number in range(150)]
        await asyncio.wait(requests, timeout=chance.random() / 50)
        expected = dict(ended)
        left_over = disk.power_cut(folder, tmp_path / "left")
        await asyncio.gather(*requests)
        contents = [recover(path).ended() for path in left_over.iterdir()]
        found = {one.charge.reference: one.charge for ends in contents for one in ends}
        for name, cost in expected.items():
            assert found.get(name) == (charge(name, cost) if cost else None)
        assert set(found) <= set(begun)
        assert ended.keys() == set(begun)


async def insist(call: Callable[[], Awaitable[None]]) -> None:
    """Repeats *call* until it succeeds."""
    while True:
        try:
            await call()
            return
        except SpoolError:
            await asyncio.sleep(0)


async def until(is_so: Callable[[], bool]) -> None:
    """Waits for a condition, 10 s at most."""
    for _ in range(5_000):
        if is_so():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never came")


def is_refused(call: Callable[[], None]) -> bool:
    """Whether the spool refuses the call."""
    try:
        call()
    except SpoolError:
        return True
    return False


async def test_a_disk_that_does_not_answer_stops_no_end(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is written is with the kernel, and whoever adopts the spool finds it."""
    answers, hangs = threading.Event(), False

    def fsync(descriptor: int) -> None:
        if hangs:
            answers.wait()
        os.fsync(descriptor)

    spool = Spool(folder, fsync=fsync)
    hangs = True
    hold(spool, "one")
    async with asyncio.timeout(5):
        await spool.close(within=0.1)
    answers.set()
    assert "the disk does not answer" in caplog.text
    assert list(left(folder).holds) == ["one"]
