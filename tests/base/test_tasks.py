"""Work that is done to its end."""

import asyncio

import pytest

from keyauthority.base.process.tasks import to_the_end


async def test_the_outcome_is_the_works() -> None:
    """Without a cancellation the result, or the error, is that of the work."""

    async def fails() -> None:
        raise LookupError

    assert await to_the_end(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(LookupError):
        await to_the_end(fails())


@pytest.mark.parametrize("cancellations", [1, 2, 5])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_task_ends_after_its_work(cancellations: int, fails: bool) -> None:
    """However often the task is cancelled, it is cancelled once the work is over, and not before."""
    may_end = asyncio.Event()
    ended = False

    async def work() -> None:
        nonlocal ended
        await may_end.wait()
        ended = True
        if fails:
            raise LookupError

    task = asyncio.create_task(to_the_end(work()))
    for _ in range(cancellations):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0.001)
    assert not task.done()
    may_end.set()
    await asyncio.wait({task})

    assert ended
    assert task.cancelled()
