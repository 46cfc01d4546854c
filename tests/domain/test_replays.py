"""The same request again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyauthority.domain.callers import Actor, Person
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import RevocationReason
from keyauthority.domain.replays import KEPT_FOR, Retry
from keyauthority.domain.repositories import KeyFilter
from keyauthority.domain.verdicts import Verdict
from tests.conformance.records import MICROSECOND, ManualClock, a_caller
from tests.domain.parts import UseCases, an_actor
from tests.transactions import changing, reading

RETRY = Retry("request-1", b"fingerprint")


async def how_many(cases: UseCases, actor: Actor) -> int:
    return len(await cases.finding.page(actor, KeyFilter(), 100, None))


async def test_issued_once(cases: UseCases, actor: Actor, clock: ManualClock) -> None:
    """Up to the last moment of ten minutes a repeat gets the same key and the same secret."""
    first = await cases.issue(actor, retry=RETRY)
    clock.time += KEPT_FOR - MICROSECOND

    assert await cases.issue(actor, retry=RETRY) == first
    assert await how_many(cases, actor) == 1


async def test_issued_again_when_it_is_forgotten(
    cases: UseCases, actor: Actor, clock: ManualClock
) -> None:
    """After ten minutes the same id is a new request, which is kept in its turn."""
    first = await cases.issue(actor, retry=RETRY)
    clock.time += KEPT_FOR

    second = await cases.issue(actor, retry=RETRY)

    assert second != first
    assert await cases.issue(actor, retry=RETRY) == second


async def test_rotated_once(cases: UseCases, actor: Actor) -> None:
    """A repeat gets the same secret, changes nothing, and waits for the fence again."""
    key_id, old = await cases.issue(actor)

    first = await cases.rotate(actor, key_id, retry=RETRY)
    second = await cases.rotate(actor, key_id, retry=RETRY)

    assert first == second
    assert cases.fence.asked == [1, 1]
    assert len((await cases.finding.get(actor, key_id)).secrets) == 2
    answers = await cases.verify_all([old, first[1]])
    assert [answer.verdict for answer in answers] == [Verdict.REVOKED, Verdict.VALID]


async def test_a_repeat_tells_what_was_done_then(cases: UseCases, actor: Actor) -> None:
    """Even if the key was revoked since: the answer is that of the first time."""
    key_id, _ = await cases.issue(actor)
    first = await cases.rotate(actor, key_id, retry=RETRY)
    await cases.revoking.revoke(actor, [key_id], RevocationReason.UNSPECIFIED, "")

    assert await cases.rotate(actor, key_id, retry=RETRY) == first


async def test_another_request_of_that_id(cases: UseCases, actor: Actor) -> None:
    """It is refused, and neither carried out nor shown the answer."""
    await cases.issue(actor, retry=RETRY)

    with pytest.raises(KeyAuthorityError) as refused:
        await cases.issue(actor, name="another", retry=Retry("request-1", b"another"))

    assert refused.value.reason is Reason.REQUEST_ID_REUSED
    assert await how_many(cases, actor) == 1


async def test_another_caller_of_that_id(cases: UseCases, actor: Actor) -> None:
    """Ids are each caller's own: nobody gets another one's secret."""
    other = an_actor(caller=a_caller("caller_8"))

    assert await cases.issue(actor, retry=RETRY) != await cases.issue(other, retry=RETRY)


async def test_another_person_of_that_id(cases: UseCases, actor: Actor) -> None:
    """Through the same caller each person has ids of their own, and so has the caller itself."""
    askers = [actor, *(replace(actor, person=Person(one, "x")) for one in ("person_1", "person_2"))]

    first = [await cases.issue(asker, retry=RETRY) for asker in askers]

    assert len(set(first)) == 3
    assert [await cases.issue(asker, retry=RETRY) for asker in askers] == first


async def test_an_answer_moved_to_another_person(cases: UseCases, actor: Actor) -> None:
    """Whoever can write to the database can't have one person shown the secret of another."""
    alice, bob = (replace(actor, person=Person(one, "")) for one in ("person_1", "person_2"))
    await cases.issue(alice, retry=RETRY)
    async with changing(cases.store) as tx:
        kept = await tx.replays.get(f"{actor.caller.id} person_1", RETRY.request_id)
        assert kept is not None
        await tx.replays.put(replace(kept, caller_id=f"{actor.caller.id} person_2"))

    with pytest.raises(KeyAuthorityError) as refused:
        await cases.issue(bob, retry=RETRY)

    assert refused.value.reason is Reason.KEYRING_MISMATCH


async def test_without_an_id(cases: UseCases, actor: Actor) -> None:
    """Every call is a request of its own, and none is kept."""
    assert await cases.issue(actor) != await cases.issue(actor)
    async with reading(cases.store) as tx:
        assert await tx.replays.get(actor.caller.id, "") is None


async def test_a_request_that_failed_is_not_kept(cases: UseCases, actor: Actor) -> None:
    """A refusal is no answer: the same request may succeed next time."""
    await cases.workspaces.update(actor, "ws_1", name=None, suspended=True, etag="")
    with pytest.raises(KeyAuthorityError):
        await cases.issue(actor, retry=RETRY)
    await cases.workspaces.update(actor, "ws_1", name=None, suspended=False, etag="")

    assert await cases.issue(actor, retry=RETRY)


async def test_an_id_that_is_none(cases: UseCases, actor: Actor) -> None:
    """It is refused before anything is minted."""
    with pytest.raises(KeyAuthorityError) as refused:
        await cases.issue(actor, retry=Retry("two words", b""))

    assert refused.value.metadata == {"field": "request_id"}
    assert await how_many(cases, actor) == 0


async def test_what_is_kept_is_sealed(cases: UseCases, actor: Actor) -> None:
    """The books hold no secret, not even for ten minutes."""
    _, secret = await cases.issue(actor, retry=RETRY)

    async with reading(cases.store) as tx:
        kept = await tx.replays.get(actor.caller.id, "request-1")
    assert kept is not None
    assert secret.encode() not in kept.sealed
    assert secret[-49:].encode() not in kept.sealed


async def test_a_repeat_after_a_new_pepper(cases: UseCases, actor: Actor) -> None:
    """What was sealed under the old pepper is still unsealed."""
    first = await cases.issue(actor, retry=RETRY)
    await cases.peppers.add(actor)
    await cases.peppers.activate(actor, 2)

    assert await cases.issue(actor, retry=RETRY) == first
