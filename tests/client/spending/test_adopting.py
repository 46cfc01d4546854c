"""Spools whose processes are gone: each taken whole, by one process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from keyauthority.client.spending import records
from keyauthority.client.spending.adoption import Orphan
from keyauthority.client.spending.journal import KEPT, PRUNE_INTERVAL
from keyauthority.client.spending.records import SpooledCharge, SpoolError
from keyauthority.client.spending.segments import path_of, prune
from keyauthority.client.spending.spool import Spool
from tests.client.parts import until
from tests.client.spending.disks import Disk
from tests.client.spending.parts import as_held, charge, charged, hold, opened, references, voided
from tests.client.spending.replays import replayed

ROOT = Path(__file__).parents[3]

ADOPT = """
import asyncio, sys
from pathlib import Path
from keyauthority.client.spending.spool import Spool

async def main():
    spool = Spool(Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    for charge in await spool.adopt():
        print(charge.reference)
    print("done", flush=True)
    sys.stdin.readline()
    await spool.close()

asyncio.run(main())
"""

FORK = """
import asyncio, os, sys, time
from pathlib import Path
from keyauthority.client.spending.records import SpoolError
from keyauthority.client.spending.spool import Spool
from tests.client.spending.parts import hold

async def main():
    spool = Spool(Path(sys.argv[1]))
    hold(spool, "of the parent")
    child = os.fork()
    if not child:
        answer = "it holds"
        try:
            hold(spool, "of the child")
        except SpoolError as error:
            answer = str(error)
        os.write(1, f"{os.getpid()} {answer}\\n".encode())
        time.sleep(60)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_living_spool_is_left_alone(folder: Path) -> None:
    """Neither one of another process nor one's own is taken."""
    async with opened(folder) as living, opened(folder) as spool:
        hold(living, "one")
        hold(spool, "two")
        assert await spool.adopt() == []
        await living.close()
        assert await spool.adopt() == [as_held("one")]
        assert await spool.adopt() == []


async def test_processes_that_adopt_at_once(folder: Path) -> None:
    """Each charge comes to one of them, and each spool is whole there."""
    spools = 30
    for number in range(spools):
        async with opened(folder) as spool:
            hold(spool, f"{number}-held")
            await charged(spool, charge(f"{number}-charged"))
    processes = [started(ADOPT, folder) for _ in range(3)]
    adopted = []
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        say(process)
    for process in processes:
        assert process.stdout is not None
        adopted.append(list(takewhile("done\n".__ne__, process.stdout)))
    for process in processes:
        say(process)
        process.communicate()
    everything = Counter(line for lines in adopted for line in lines)
    assert len(everything) == 2 * spools
    assert set(everything.values()) == {1}
    for lines in adopted:
        assert {line.partition("-")[0] for line in lines if "held" in line} == {
            line.partition("-")[0] for line in lines if "charged" in line
        }


def started(program: str, folder: Path) -> subprocess.Popen[str]:
    """A process that runs *program* on *folder*."""
    command = [sys.executable, "-c", program, str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)


def say(process: subprocess.Popen[str]) -> None:
    """Lets the process go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


async def test_a_child_keeps_no_lock(folder: Path) -> None:
    """A process that was forked writes nothing, and does not keep the spool of a dead parent."""
    with started(FORK, folder) as parent:
        assert parent.stdout is not None
        child, _, refusal = parent.stdout.readline().partition(" ")
        try:
            assert "is closed, or another process's" in refusal
            async with opened(folder) as spool:
                assert await spool.adopt() == []
                parent.kill()
                parent.wait()
                assert await spool.adopt() == [as_held("of the parent")]
        finally:
            os.kill(int(child), signal.SIGKILL)
            parent.kill()


async def test_what_a_start_left_that_was_killed(folder: Path) -> None:
    """A spool that never got its name is removed, if nobody is about to give it one."""
    (folder / ".0123456789abcdef.fresh").mkdir()
    async with opened(folder) as spool:
        await spool.adopt()
        assert [path.suffix for path in folder.iterdir()] == [".spool"]


async def test_an_adoption_that_stopped_half_way(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who adopts the rest finds what was open at last, not what was open once."""
    async with opened(folder, segment_bytes=1_000) as spool:
        for number in range(20):
            hold(spool, f"r{number}")
            await voided(spool, f"r{number}")
        hold(spool, "open")
    (dead,) = folder.iterdir()
    third = sorted(dead.iterdir())[2]
    async with opened(folder) as spool:
        (own,) = (path for path in folder.iterdir() if path != dead)
        (own / f"{dead.stem}-{third.name}").mkdir()
        assert await spool.adopt() == [as_held("open")]
        assert "spool_not_moved" in caplog.text
        assert 1 < len(list(dead.iterdir())) < 5
        (own / f"{dead.stem}-{third.name}").rmdir()
        async with opened(folder) as other:
            assert await other.adopt() == [as_held("open")]
            assert not dead.exists()


async def test_the_machine_stopped(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who adopts a spool that was open when the machine stopped says what may be lost."""
    dead = folder / "0123456789abcdef.spool"
    for closing, said in [(b"", True), (records.closed(), False)]:
        dead.mkdir()
        content = records.begun(1, "an earlier start", None) + records.carried(0) + closing
        path_of(dead, 1).write_bytes(content)
        caplog.clear()
        async with opened(folder) as spool:
            await spool.adopt()
        assert ("at most 256 requests may be lost" in caplog.text) is said


async def test_a_spool_that_cant_be_written_adopts_nothing(folder: Path) -> None:
    """The others stay where they are, for a process that can."""
    async with opened(folder) as spool:
        hold(spool, "one")
    disk = Disk(lambda: True)
    async with opened(folder, fsync=disk.fsync) as spool:
        with pytest.raises(SpoolError, match="can't be written"):
            await spool.adopt()
    async with opened(folder) as spool:
        await spool.adopt()
        assert spool.unconfirmed(1) == [as_held("one")]


@pytest.mark.parametrize("taken", [0, 1])
async def test_what_was_taken_before_the_disk_failed(
    folder: Path, caplog: pytest.LogCaptureFixture, taken: int
) -> None:
    """It is returned: its slices are to be closed. The rest is taken the next time."""
    for name in ("one", "two"):
        async with opened(folder) as spool:
            hold(spool, name)
    left = float("inf")

    def fails() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    disk = Disk(fails)
    async with opened(folder, fsync=disk.fsync) as spool:
        left = taken
        if taken:
            assert len(await spool.adopt()) == 1
            assert "spool_not_adopted" in caplog.text
        else:
            with pytest.raises(SpoolError, match="can't be written"):
                await spool.adopt()
        left = float("inf")
        assert len(await spool.adopt()) == 2 - taken
        assert references(spool.unconfirmed(1)) == ["one", "two"]


class SlowClaims(ThreadPoolExecutor):
    """Threads in which the spool *path* is claimed only once that may go on."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.begun, self.goes_on, self.claimed = (threading.Event() for _ in range(3))

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        is_claim = work == Orphan.claim and args == (self._path,)
        return super().submit(self._claim if is_claim else work, *args, **kwargs)

    def _claim(self, path: Path) -> Orphan | None:
        self.begun.set()
        self.goes_on.wait()
        try:
            return Orphan.claim(path)
        finally:
            self.claimed.set()


async def test_a_claim_that_nobody_waits_for(folder: Path) -> None:
    """The spool is not locked for nobody: the next one takes it."""
    async with opened(folder) as spool:
        hold(spool, "one")
    (dead,) = folder.iterdir()
    threads = SlowClaims(dead)
    asyncio.get_running_loop().set_default_executor(threads)
    async with opened(folder) as spool:
        adopting = asyncio.create_task(spool.adopt())
        await asyncio.to_thread(threads.begun.wait)
        adopting.cancel()
        await asyncio.wait({adopting})
        threads.goes_on.set()
        await asyncio.to_thread(threads.claimed.wait)
        taken: list[SpooledCharge] = []
        async with asyncio.timeout(5):
            while not taken:
                taken = await spool.adopt()
                await asyncio.sleep(0.01)
        assert references(taken) == ["one"]


async def test_what_was_confirmed_by_the_dead(folder: Path) -> None:
    """It comes again in a newer epoch, and in that of its confirmation it does not."""
    async with opened(folder) as spool:
        for name in ("one", "two", "three"):
            await charged(spool, charge(name))
        spool.confirmed(["one", "two"], 5)
    async with opened(folder) as spool:
        assert await spool.adopt() == [charge("three")]
        assert spool.unconfirmed(5) == [charge("three")]
        assert not spool.replaying
        spool.confirmed(["three"], 5)
    async with opened(folder) as spool:
        await spool.adopt()
        assert await replayed(spool, 6) == ["one", "three", "two"]
        assert not spool.replaying
    async with opened(folder) as spool:
        await spool.adopt()
        assert await replayed(spool, 6) == []


async def test_an_archive_of_an_older_epoch(folder: Path) -> None:
    """Who adopts it in a newer epoch brings it again."""
    async with opened(folder) as spool, opened(folder) as old:
        await charged(old, charge("one"))
        old.confirmed(["one"], 1)
        await charged(spool, charge("two"))
        spool.confirmed(["two"], 2)
        await old.close()
        assert await spool.adopt() == []
        assert "one" in await replayed(spool, 2)
        assert not spool.replaying


async def test_an_archive_of_an_older_epoch_in_the_next_hands(folder: Path) -> None:
    """Who adopts it from who adopted it brings it again, too."""
    async with opened(folder) as old:
        await charged(old, charge("one"))
        old.confirmed(["one"], 1)
    async with opened(folder) as spool:
        await charged(spool, charge("two"))
        spool.confirmed(["two"], 2)
        await spool.adopt()
    async with opened(folder) as spool:
        await spool.adopt()
        assert "one" in await replayed(spool, 2)


async def test_a_replay_that_is_interrupted(folder: Path) -> None:
    """Whoever adopts the spool begins it anew."""
    async with opened(folder) as spool:
        await charged(spool, charge("one"))
        spool.confirmed(["one"], 1)
        spool.unconfirmed(2)
        assert spool.replaying
    async with opened(folder) as spool:
        await spool.adopt()
        assert await replayed(spool, 2) == ["one"]


async def test_a_refused_charge_of_a_replay(folder: Path) -> None:
    """It is unconfirmed from then on, here and for whoever adopts the spool, and the replay ends."""
    async with opened(folder) as spool:
        for name in ("one", "two"):
            await charged(spool, charge(name))
        spool.confirmed(["one", "two"], 1)
        spool.unconfirmed(2)
        await until(lambda: len(spool.unconfirmed(2)) == 2)
        spool.refused(["one"])
        assert references(spool.unconfirmed(2)) == ["one", "two"]
        spool.confirmed(["two"], 2)
        await until(lambda: not spool.replaying)
        assert spool.unconfirmed(2) == [charge("one")]
    async with opened(folder) as spool:
        assert await spool.adopt() == [charge("one")]


async def test_a_word_of_an_epoch_that_is_over(folder: Path) -> None:
    """It confirms nothing."""
    async with opened(folder) as spool:
        await charged(spool, charge("one"))
        assert spool.unconfirmed(2) == [charge("one")]
        spool.confirmed(["one"], 1)
        assert spool.unconfirmed(2) == [charge("one")]


async def test_what_is_older_than_three_days(folder: Path) -> None:
    """It is deleted if it is confirmed; what is open or unconfirmed stays for as long as it takes."""
    times = [time.time()]
    async with opened(folder, now=lambda: times[0], segment_bytes=2_000) as spool:
        hold(spool, "open")
        await charged(spool, charge("unconfirmed"))
        for number in range(40):
            await charged(spool, charge(f"r{number}"))
            spool.confirmed([f"r{number}"], 1)
        (path,) = folder.iterdir()
        many = len(list(path.iterdir()))
        times[0] += KEPT - PRUNE_INTERVAL
        await voided(spool, "look")
        await charged(spool, charge("within"))
        size = spool.state().bytes
        times[0] += 2 * PRUNE_INTERVAL
        await charged(spool, charge("beyond"))
    assert many == 5
    assert len(list(path.iterdir())) == 1
    assert spool.state().bytes < size
    async with opened(folder) as spool:
        await spool.adopt()
        assert references(spool.unconfirmed(1)) == ["beyond", "open", "unconfirmed", "within"]


async def test_an_archive_has_a_bound(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The oldest confirmed charges go before their time, which the log reports; no other does."""
    times = [time.time()]
    async with opened(
        folder, now=lambda: times[0], segment_bytes=2_000, archive_bytes=5_000
    ) as spool:
        hold(spool, "open")
        await charged(spool, charge("unconfirmed"))
        for number in range(60):
            times[0] += 2
            await charged(spool, charge(f"r{number}"))
            spool.confirmed([f"r{number}"], 1)
        await until(lambda: spool.state().bytes < 12_000)
        again = set(await replayed(spool, 2))
        assert "r0" not in again
        assert {"r59", "unconfirmed"} <= again
    assert "spool_archive_full" in caplog.text
    async with opened(folder) as spool:
        assert "open" in references(await spool.adopt())


async def test_what_the_metrics_see(folder: Path) -> None:
    """Holds, charges, bytes, and the age of the oldest charge."""
    times = [1_000.0]
    spool = Spool(folder, now=lambda: times[0])
    hold(spool, "one")
    await charged(spool, charge("two"))
    times[0] += 7
    state = spool.state()
    await spool.close()
    assert (state.holds, state.charges, state.oldest_age) == (1, 1, 7)
    assert state.bytes > 300


def test_what_is_written_meanwhile_is_no_archive(tmp_path: Path) -> None:
    """The thread that deletes may look when a newer segment has begun already."""
    paths = [path_of(tmp_path, number) for number in (1, 2, 3)]
    for path in paths:
        path.write_bytes(bytes(100))
    assert prune(tmp_path, 0.0, paths[1], most=50) == (0, 1)
    assert [path.exists() for path in paths] == [False, True, True]
