"""Kept answers to retry-safe requests."""

from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import Replay
from tests.conformance.records import DAY, MICROSECOND, START, a_replay
from tests.transactions import changing, reading


async def get(store: Store, request_id: str, caller_id: str = "caller_1") -> Replay | None:
    async with reading(store) as tx:
        return await tx.replays.get(caller_id, request_id)


async def put(store: Store, *replays: Replay) -> None:
    async with changing(store) as tx:
        for replay in replays:
            await tx.replays.put(replay)


async def test_an_answer_comes_back_as_it_went(store: Store) -> None:
    """Any bytes survive, to the microsecond."""
    replay = a_replay(
        fingerprint=bytes(range(32)), sealed=bytes(range(256)) * 40, expire_time=START + MICROSECOND
    )

    await put(store, replay)

    assert await get(store, "request-1") == replay


async def test_answers_are_kept_by_caller_and_request(store: Store) -> None:
    """The same request id of another caller is another request."""
    mine, others = a_replay(), a_replay(caller_id="caller_2", sealed=b"other")
    await put(store, mine, others)

    assert await get(store, "request-1") == mine
    assert await get(store, "request-1", "caller_2") == others
    assert await get(store, "request-2") is None


async def test_an_expired_answer_is_still_told(store: Store) -> None:
    """Whether an answer has expired is for the asker to judge."""
    expired = a_replay(expire_time=START - DAY)
    await put(store, expired)

    assert await get(store, "request-1") == expired


async def test_an_answer_replaces_the_one_before(store: Store) -> None:
    """A request id used again after ten minutes keeps the newer answer only."""
    newer = a_replay(sealed=b"newer", fingerprint=b"other", expire_time=START + 2 * DAY)
    await put(store, a_replay(expire_time=START - DAY))

    await put(store, newer)

    assert await get(store, "request-1") == newer


async def test_pruning(store: Store) -> None:
    """Answers that expire now or before are destroyed, and the number is told."""
    times = (START - DAY, START, START + MICROSECOND)
    await put(store, *(a_replay(str(n), expire_time=time) for n, time in enumerate(times)))

    async with changing(store) as tx:
        assert await tx.replays.prune(START) == 2
        assert await tx.replays.prune(START) == 0

    assert [await get(store, str(n)) is not None for n in range(3)] == [False, False, True]
