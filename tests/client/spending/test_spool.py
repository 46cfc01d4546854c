"""What a spool keeps, and gives up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keyauthority.client.spending.records import SpoolError
from keyauthority.client.spending.spool import Spool
from tests.client.spending.parts import PARTS, as_held, charge, charged, hold, left, opened, voided
from tests.client.spending.replays import replayed


async def test_a_charge_until_it_is_confirmed(folder: Path) -> None:
    """What ended is to be sent until the authority has it, and comes back after a restart."""
    async with opened(folder) as spool:
        hold(spool, "one")
        hold(spool, "two")
        await charged(spool, charge("one"))
        await charged(spool, charge("two"))
        assert spool.unconfirmed(1) == [charge("one"), charge("two")]
        spool.confirmed(["one"], 1)
        assert spool.unconfirmed(1) == [charge("two")]

    async with opened(folder) as spool:
        assert await spool.adopt() == [charge("two")]
        assert spool.unconfirmed(1) == [charge("two")]


async def test_a_hold_without_an_end(folder: Path) -> None:
    """It is charged as held, by all the parts that it had at last; a void hold is not."""
    more = {**PARTS, ("sess_3", 1): 5}
    async with opened(folder) as spool:
        for reference in ("caught", "longer", "void"):
            hold(spool, reference)
        spool.extend("longer", more)
        await voided(spool, "void")
        assert spool.unconfirmed(1) == []
        assert spool.state().holds == 2

    async with opened(folder) as spool:
        assert await spool.adopt() == [as_held("caught"), as_held("longer", more)]


async def test_only_the_first_end_counts(folder: Path) -> None:
    """Ends that come twice, and words on unknown requests, change nothing."""
    async with opened(folder) as spool:
        hold(spool, "one")
        hold(spool, "void")
        await charged(spool, charge("one"))
        await charged(spool, charge("one", cost=9))
        await voided(spool, "one")
        await voided(spool, "void")
        await voided(spool, "void")
        await voided(spool, "never held")
        spool.confirmed(["never held", "void"], 1)
        assert spool.unconfirmed(1) == [charge("one")]
    assert [one.charge for one in left(folder).ended()] == [charge("one")]


async def test_a_charge_without_a_hold(folder: Path) -> None:
    """It is a charge like any other: nothing is free by accident."""
    async with opened(folder) as spool:
        await charged(spool, charge("one"))
    assert [one.charge for one in left(folder).ended()] == [charge("one")]


async def test_a_closed_spool_takes_nothing(folder: Path) -> None:
    """Whoever is late is refused, since the spool may be another process's by then."""
    spool = Spool(folder)
    await spool.close()
    await spool.close()

    with pytest.raises(SpoolError, match="closed"):
        hold(spool, "late")
    with pytest.raises(SpoolError, match="closed"):
        await charged(spool, charge("late"))
    with pytest.raises(SpoolError, match="closed"):
        await voided(spool, "late")


def descriptors() -> set[str]:
    """Those that this process has open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def test_a_closed_spool_writes_into_no_other_file(folder: Path, tmp_path: Path) -> None:
    """The word that a charge is entered may come late, and another file has the descriptor by then."""
    spool = Spool(folder)
    await charged(spool, charge("one"))
    before = descriptors()
    await spool.close()
    free = before - descriptors()
    path = tmp_path / "of_somebody_else"
    others = [path.open("wb") for _ in free]
    assert free & {str(other.fileno()) for other in others}

    spool.confirmed(["one"], 1)
    spool.refused(["one"])

    assert path.read_bytes() == b""
    for other in others:
        other.close()


async def test_a_spool_that_was_not_used_is_gone(folder: Path) -> None:
    """Starts and stops leave nothing."""
    async with opened(folder):
        assert len(list(folder.iterdir())) == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("what", ["missing", "file", "others"])
async def test_no_place_for_a_spool(folder: Path, what: str) -> None:
    """A start without a place for it is refused with a sentence that names it."""
    place = folder / what
    if what == "file":
        place.write_text("")
    if what == "others":
        place.mkdir()
        place.chmod(0o777)
    with pytest.raises(SpoolError, match=f"no spool can be made in .*{what}: .*[a-z]{{5}}"):
        Spool(place)


async def test_segments(folder: Path) -> None:
    """What is open or unconfirmed moves on to the next segment, and nothing is found twice."""
    async with opened(folder, segment_bytes=2_000) as spool:
        hold(spool, "long")
        await charged(spool, charge("stays"))
        for number in range(100):
            hold(spool, f"r{number}")
            await charged(spool, charge(f"r{number}"))
            spool.confirmed([f"r{number}"], 1)
        (path,) = folder.glob("*.spool")
        assert len(list(path.iterdir())) > 10
    ended = [one.charge for one in left(folder).ended()]
    assert ended == [charge("stays"), as_held("long")]


async def test_a_synced_end_is_what_is_sent(folder: Path) -> None:
    """A charge may be sent when it is synced, and not before."""
    async with opened(folder) as spool:
        ending = asyncio.ensure_future(charged(spool, charge("one")))
        await asyncio.sleep(0)
        assert left(folder).charges
        assert spool.unconfirmed(1) == []
        await ending
        assert spool.unconfirmed(1) == [charge("one")]


async def test_a_newer_epoch(folder: Path) -> None:
    """What was confirmed before comes again, from the disk, until it is confirmed in the new one."""
    async with opened(folder, segment_bytes=2_000) as spool:
        names = [f"r{number:02}" for number in range(30)]
        for name in names:
            await charged(spool, charge(name))
            spool.confirmed([name], 1)
        assert await replayed(spool, 2) == names
        assert await replayed(spool, 2) == []
        spool.confirmed(["r01"], 1)
