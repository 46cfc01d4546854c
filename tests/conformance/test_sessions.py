"""Who may hold a lease, and up to where they have read."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ports import Store
from keyauthority.domain.sessions import (
    REPLICA,
    SESSIONS_PER_CALLER,
    WHOLE,
    Allowance,
    Claim,
    Grant,
    Head,
    Session,
)
from keyauthority.storage.memory.leases import MOST_CHANGES as MOST_CHANGES_IN_MEMORY
from keyauthority.storage.sql.leases import MOST_CHANGES
from tests.conformance.records import START, a_caller, undone
from tests.transactions import changing, reading

NOTHING = Claim(0, 0)


@pytest.fixture(autouse=True)
async def _callers(store: Store) -> None:
    async with changing(store) as tx:
        await tx.callers.insert(a_caller("caller_1"))
        await tx.callers.insert(a_caller("caller_2"))


async def advance(store: Store, *subjects: str) -> int:
    async with changing(store) as tx:
        return await tx.feed.advance(subjects)


async def begin_epoch(store: Store) -> Head:
    async with changing(store) as tx:
        return await tx.leases.begin_epoch(START)


async def join(store: Store, claim: Claim = NOTHING, caller_id: str = "caller_1") -> Grant:
    return await store.sessions.join(caller_id, "gateway-1", claim)


async def session(store: Store, session_id: str) -> Session:
    return {one.id: one for one in await store.sessions.all()}[session_id]


async def standing(store: Store, revision: int) -> tuple[int, int]:
    counts = (await store.sessions.standing()).at(revision)
    return counts.acknowledged, counts.behind


async def refusal(work: Awaitable[object]) -> Reason:
    with pytest.raises(KeyAuthorityError) as raised:
        await work
    return raised.value.reason


async def test_a_join_is_granted_what_the_books_say(store: Store) -> None:
    """The lease tells the head it rests on and its length; who claimed nothing starts anew."""
    await advance(store, "key_1", "key_2")

    grant = await join(store)

    async with reading(store) as tx:
        terms = await tx.leases.terms()
    assert grant == Grant(grant.session_id, Head(1, 2), terms.lease, None, terms.foreign_secrets)
    found = await session(store, grant.session_id)
    assert (found.caller_id, found.name, found.acknowledged) == ("caller_1", "gateway-1", 0)


async def test_changes_are_told_once_and_in_order(store: Store) -> None:
    """Each call tells what follows the claim, a subject that changed twice only once."""
    await advance(store, "a", "b", "a", "c")

    grant = await join(store, Claim(1, 0))
    assert grant.subjects == ("a", "b", "c")
    later = await store.sessions.renew(grant.session_id, "caller_1", Claim(1, 2))
    assert later.subjects == ("a", "c")
    idle = await store.sessions.renew(grant.session_id, "caller_1", Claim(1, 4))
    assert (idle.subjects, idle.head) == ((), Head(1, 4))


@pytest.mark.parametrize(
    ("claim", "credited", "reset"),
    [
        (Claim(1, 2), 2, False),
        (Claim(1, 3), 3, False),
        (Claim(1, 4), 0, True),  # above the head: told by other books
        (Claim(2, 3), 0, True),  # of another epoch
        (Claim(0, 0), 0, True),
        (Claim(1, 0), 0, False),
    ],
)
async def test_a_claim_is_credited_or_reset(
    store: Store, claim: Claim, credited: int, reset: bool
) -> None:
    """What the books can't have told counts for nothing, at a join and at a renewal."""
    await advance(store, "a", "b", "c")

    joined = await join(store, claim)
    assert (await session(store, joined.session_id)).acknowledged == credited
    other = await join(store, Claim(1, 3))
    renewed = await store.sessions.renew(other.session_id, "caller_1", claim)
    expected = max(credited, 3) if credited else 0
    assert (await session(store, other.session_id)).acknowledged == expected
    assert [grant.subjects is None for grant in (joined, renewed)] == [reset, reset]


async def test_what_was_acknowledged_stays_so(store: Store) -> None:
    """A late or repeated claim takes nothing back; a reset does."""
    await advance(store, "a", "b", "c")
    session_id = (await join(store, Claim(1, 1))).session_id

    acknowledged = []
    for claim in (Claim(1, 3), Claim(1, 1), Claim(9, 3), Claim(1, 2)):
        await store.sessions.renew(session_id, "caller_1", claim)
        acknowledged.append((await session(store, session_id)).acknowledged)

    assert acknowledged == [3, 3, 0, 2]


async def test_ids_and_beats_are_never_given_twice(store: Store) -> None:
    """Every join has an id of its own, every call a beat of its own, also after sessions end."""
    ids: list[str] = []
    beats: list[int] = []
    for _ in range(3):
        grant = await join(store)
        ids.append(grant.session_id)
        beats.append((await session(store, grant.session_id)).beat)
        await store.sessions.renew(grant.session_id, "caller_1", NOTHING)
        beats.append((await session(store, grant.session_id)).beat)
        await store.sessions.leave(grant.session_id, "caller_1")

    assert len(set(ids)) == 3
    assert beats == sorted(set(beats))


async def test_many_renew_at_once(store: Store) -> None:
    """Each is told what it lacks, and acknowledges what it claims; one that fails takes none along."""
    await advance(store, *"abcdef")
    ids = [(await join(store, Claim(1, n))).session_id for n in range(6)]
    works = [store.sessions.renew(one, "caller_1", Claim(1, n + 1)) for n, one in enumerate(ids)]
    nul = store.sessions.renew("session\0", "caller_1", Claim(1, 6))
    wrong = [
        store.sessions.renew(one, "caller_2", Claim(1, 6)) for one in (*ids[:2], "session_gone")
    ]

    grants = await asyncio.gather(*works, nul, *wrong, return_exceptions=True)

    told = [one.subjects for one in grants if isinstance(one, Grant)]
    assert told == [tuple("abcdef"[n + 1 :]) for n in range(6)]
    refused = [one.reason for one in grants if isinstance(one, KeyAuthorityError)]
    assert refused == [Reason.SESSION_NOT_FOUND] * 4
    found = [await session(store, one) for one in ids]
    assert [one.acknowledged for one in found] == [1, 2, 3, 4, 5, 6]
    assert len({one.beat for one in found}) == 6


async def test_requests_of_one_session_at_once_all_count(store: Store) -> None:
    """Of an abandoned request and the next one, neither takes the other's acknowledgement away."""
    await advance(store, "a", "b", "c")
    session_id = (await join(store, Claim(1, 0))).session_id
    before = (await session(store, session_id)).beat

    claims = [Claim(1, revision) for revision in (1, 3, 2)]
    works = (store.sessions.renew(session_id, "caller_1", claim) for claim in claims)
    grants = await asyncio.gather(*works)

    assert [grant.subjects for grant in grants] == [("b", "c"), (), ("c",)]
    found = await session(store, session_id)
    assert (found.acknowledged, found.beat) == (3, before + 3)


async def test_behind_counts(store: Store) -> None:
    """Sessions at or past a revision have acknowledged it, all others are behind."""
    await advance(store, "a", "b", "c")
    assert await standing(store, 3) == (0, 0)
    for revision in (0, 1, 3, 3):
        await join(store, Claim(1, revision))

    assert [await standing(store, revision) for revision in (0, 1, 2, 3, 4)] == [
        (4, 0),
        (3, 1),
        (2, 2),
        (2, 2),
        (0, 4),
    ]


async def test_a_commit_finds_every_session_that_was_granted_less(store: Store) -> None:
    """Joins and changes at once: whoever was granted a head below a revision is behind it."""
    granted: dict[str, int] = {}

    async def joins() -> None:
        for _ in range(10):
            grant = await join(store, Claim(1, 0))
            granted[grant.session_id] = grant.head.revision

    async def changes() -> None:
        for _ in range(10):
            revision = await advance(store, "a")
            found = {one.id for one in await store.sessions.all()}
            assert {one for one, head in granted.items() if head < revision} <= found

    await asyncio.gather(joins(), joins(), changes(), changes())

    assert await standing(store, 0) == (20, 0)


async def test_a_session_is_its_callers(store: Store) -> None:
    """Another caller can neither renew it nor end it."""
    session_id = (await join(store)).session_id

    assert (
        await refusal(store.sessions.renew(session_id, "caller_2", NOTHING))
        is Reason.SESSION_NOT_FOUND
    )
    await store.sessions.leave(session_id, "caller_2")
    assert (await session(store, session_id)).caller_id == "caller_1"

    await store.sessions.leave(session_id, "caller_1")
    assert await store.sessions.all() == []
    assert (
        await refusal(store.sessions.renew(session_id, "caller_1", NOTHING))
        is Reason.SESSION_NOT_FOUND
    )


async def test_a_revoked_caller_is_granted_nothing(store: Store) -> None:
    """Neither a join nor a renewal; its sessions stay until they are waited out."""
    session_id = (await join(store)).session_id
    before = await session(store, session_id)
    async with changing(store) as tx:
        await tx.callers.update(a_caller("caller_1", revoke_time=START))

    for work in (join(store), store.sessions.renew(session_id, "caller_1", Claim(1, 0))):
        assert await refusal(work) is Reason.CREDENTIAL_INVALID
    assert await refusal(join(store, caller_id="caller_9")) is Reason.CREDENTIAL_INVALID

    assert [one.id for one in await store.sessions.all()] == [before.id]


async def test_the_authoritys_own_processes_need_no_caller(store: Store) -> None:
    """A replica has a session like any other verifier, and no credential."""
    session_id = (await join(store, caller_id=REPLICA)).session_id

    grant = await store.sessions.renew(session_id, REPLICA, Claim(1, 0))

    assert grant.session_id == session_id


async def test_a_session_is_removed_only_with_its_beat(store: Store) -> None:
    """What moved since it was looked at stays."""
    session_id = (await join(store)).session_id
    seen = (await session(store, session_id)).beat
    await store.sessions.renew(session_id, "caller_1", NOTHING)

    assert not await store.sessions.remove(session_id, seen)
    assert len(await store.sessions.all()) == 1

    assert await store.sessions.remove(session_id, (await session(store, session_id)).beat)
    assert await store.sessions.all() == []


async def test_sessions_per_caller_are_bounded(store: Store) -> None:
    """Beyond the bound a join is refused, others' are not, and no session is evicted for it."""
    joins = (join(store) for _ in range(SESSIONS_PER_CALLER + 3))
    joined = await asyncio.gather(*joins, return_exceptions=True)

    refused = [one for one in joined if isinstance(one, KeyAuthorityError)]
    assert [error.reason for error in refused] == [Reason.TOO_MANY_SESSIONS] * 3
    granted = {one.session_id for one in joined if isinstance(one, Grant)}
    assert {one.id for one in await store.sessions.all()} == granted
    await join(store, caller_id="caller_2")
    await store.sessions.leave(granted.pop(), "caller_1")
    await join(store)


async def test_a_lease_is_as_long_as_the_session_is_allowed(store: Store) -> None:
    """From its next renewal on; the books say what may be in force, and how often it was late."""
    half, none = timedelta(milliseconds=1_500), timedelta()
    revision = await advance(store, "a")
    session_id = (await join(store, Claim(1, 0))).session_id

    assert await store.sessions.allow(session_id, WHOLE, Allowance(half), late=True)
    has = (await session(store, session_id)).allowance
    grant = await store.sessions.renew(session_id, "caller_1", Claim(1, 0))
    assert (grant.lease, grant.allowance, has.in_force) == (half, has, None)
    assert (await standing(store, revision)) == (0, 1)

    assert await store.sessions.allow(session_id, has, Allowance(none, none))
    counts = (await store.sessions.standing()).at(revision)
    assert (counts.behind, counts.longest_lease) == (0, none)
    assert (await store.sessions.renew(session_id, "caller_1", Claim(1, 0))).lease == none
    found = await session(store, session_id)
    assert (found.allowance.lease, found.late) == (none, 1)
    assert (await standing(store, revision + 1)) == (0, 0)


async def test_an_allowance_is_changed_only_from_the_one_it_is(store: Store) -> None:
    """Of two that decide by the same one, the first does; numbers are never given twice."""
    session_id = (await join(store)).session_id
    has = (await session(store, session_id)).allowance

    done = [
        await store.sessions.allow(session_id, has, Allowance(timedelta(seconds=seconds)))
        for seconds in (1, 2)
    ]

    assert done == [True, False]
    after = (await session(store, session_id)).allowance
    assert after.lease == timedelta(seconds=1)
    assert await store.sessions.allow(session_id, after, WHOLE)
    assert (await session(store, session_id)).allowance.number not in {has.number, after.number}
    assert not await store.sessions.allow("gone", WHOLE, WHOLE)


async def test_a_join_whose_caller_is_gone_leaves_no_session(store: Store) -> None:
    """However far it was: no change waits for one that nobody was told of."""
    joining = [asyncio.create_task(join(store)) for _ in range(30)]
    for number, one in enumerate(joining):
        await asyncio.sleep(0.002 * (number % 3))
        one.cancel()
    ended = await asyncio.gather(*joining, return_exceptions=True)
    told = {one.session_id for one in ended if isinstance(one, Grant)}

    # What is joined after them is joined when their undoing is under way at the latest.
    last = (await join(store)).session_id
    for _ in range(500):
        left = {one.id for one in await store.sessions.all()}
        if left == {*told, last}:
            break
        await asyncio.sleep(0.01)
    assert left == {*told, last}


async def test_too_many_changes_are_a_reset(store: Store) -> None:
    """A thousand changes are told, one more makes the verifier drop everything."""
    assert MOST_CHANGES == MOST_CHANGES_IN_MEMORY == 1_000
    await advance(store, *(f"key_{n}" for n in range(1_001)))

    told = await join(store, Claim(1, 1))
    assert told.subjects == tuple(f"key_{n}" for n in range(1, 1_001))
    assert (await join(store, Claim(1, 0))).subjects is None


async def test_a_claim_before_the_pruned_tail_is_a_reset(store: Store) -> None:
    """Who claims less than what is still known of can't be told what is missing."""
    await advance(store, "a", "b", "c", "d")
    async with changing(store) as tx:
        await tx.feed.prune(2)

    told = [(await join(store, Claim(1, revision))).subjects for revision in (1, 2, 3, 4)]
    assert told == [None, ("c", "d"), ("d",), ()]

    async with changing(store) as tx:
        await tx.feed.prune(0)
    assert [(await join(store, Claim(1, revision))).subjects for revision in (3, 4)] == [None, ()]


async def test_a_new_epoch_ends_all_sessions(store: Store) -> None:
    """After a restore nobody's lease is known of: verifiers join anew and drop what they have."""
    await advance(store, "a")
    session_id = (await join(store, Claim(1, 1))).session_id

    begun = await begin_epoch(store)

    assert begun == Head(int(START.timestamp() * 1000), 1)
    assert await store.sessions.all() == []
    work = store.sessions.renew(session_id, "caller_1", Claim(1, 1))
    assert await refusal(work) is Reason.SESSION_NOT_FOUND
    grant = await join(store, Claim(1, 1))
    assert (grant.head, grant.subjects) == (begun, None)
    found = await store.sessions.standing()
    assert (found.sessions, found.terms.settling) == ({(0, None): 1}, True)


async def test_no_two_epochs_are_the_same(store: Store) -> None:
    """Also if the same backup is restored twice, or the clock stands still."""
    first = await begin_epoch(store)

    assert (await begin_epoch(store)).epoch == first.epoch + 1


async def test_a_new_epoch_undone_ends_no_session(store: Store) -> None:
    """Sessions end with the epoch's commit, and not if there is none."""
    session_id = (await join(store)).session_id
    async with undone(store) as tx:
        await tx.leases.begin_epoch(START)

    assert [one.id for one in await store.sessions.all()] == [session_id]


async def test_sessions_are_listed_oldest_first(store: Store) -> None:
    """With who has them, and under which name."""
    ids = [(await join(store, caller_id=caller)).session_id for caller in ("caller_2", "caller_1")]

    found = await store.sessions.all()

    assert [one.id for one in found] == ids
    assert [one.caller_id for one in found] == ["caller_2", "caller_1"]
    assert all(one.create_time <= one.sync_time for one in found)
