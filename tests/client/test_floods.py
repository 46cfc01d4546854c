"""Unknown secrets, more than the authority answers, and good ones beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from keyauthority.client import Secret, Verdict, VerificationUnavailable, Verifier
from keyauthority.client.asking import STRANGERS_CALLS, SUSPECTS_CALLS, WAITING
from keyauthority.client.lines import BATCH
from keyauthority.client.verification import Verification
from keyauthority.domain import secrets
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc.errors import to_status
from keyauthority.v1 import verification_service_pb2 as pb
from tests.client.parts import Context, ScriptedAuthority, leased, until
from tests.gateway.parts import TOKEN, new_secret, reply, valid_reply

UNDER_WAY = STRANGERS_CALLS * BATCH
SOURCES = 40
WAITING_OF_EACH = 5


@asynccontextmanager
async def flooded(verifier: Verifier, scripted: ScriptedAuthority) -> AsyncIterator[None]:
    """All calls for strangers are under way, and `SOURCES` lines stand before them."""
    scripted.door.clear()
    before = len(scripted.asked)
    asking = [
        asyncio.create_task(verifier.verify(new_secret(), source=str(number % SOURCES)))
        for number in range(UNDER_WAY + SOURCES * WAITING_OF_EACH)
    ]
    await until(lambda: len(scripted.asked) == before + UNDER_WAY)
    yield
    scripted.door.set()
    for one in await asyncio.gather(*asking):
        assert one.verdict is Verdict.UNKNOWN


async def test_a_secret_accepted_before_is_asked_about_at_once(
    scripted: ScriptedAuthority,
) -> None:
    """Though a change has taken it out of memory, and whoever else waits."""
    async with leased(scripted.address, timeout=20) as verifier:
        secret = scripted.issue()
        await verifier.verify(secret)
        await scripted.change("key_1")
        await until(lambda: verifier.peek(secret) is None)
        async with flooded(verifier, scripted):
            asking = asyncio.create_task(verifier.verify(secret))
            await until(lambda: scripted.asked_for(secret) == 2)
        assert (await asking).verdict is Verdict.VALID


async def test_so_is_the_next_secret_of_its_key(scripted: ScriptedAuthority) -> None:
    """As after a rotation."""
    async with leased(scripted.address, timeout=20) as verifier:
        key_id = secrets.new_id("key")
        good = valid_reply()
        good.key.id = key_id
        old, new = (secrets.mint(key_id).reveal() for _ in range(2))
        scripted.answers = {old: good, new: good}
        await verifier.verify(old)
        async with flooded(verifier, scripted):
            asking = asyncio.create_task(verifier.verify(new))
            await until(lambda: scripted.asked_for(new) == 1)
        assert (await asking).verdict is Verdict.VALID


async def test_a_new_secret_waits_for_one_of_each_other_source(
    scripted: ScriptedAuthority,
) -> None:
    """Not for all that these have waiting."""
    async with leased(scripted.address, timeout=20) as verifier:
        secret = scripted.issue()
        async with flooded(verifier, scripted):
            asking = asyncio.create_task(verifier.verify(secret, source="another"))
            await asyncio.sleep(0)
        assert (await asking).verdict is Verdict.VALID
        position = [request.secret for request in scripted.asked].index(secret)
        # As many again may have been sent before the first was answered.
        assert position <= 2 * UNDER_WAY + SOURCES


async def test_nobody_waits_behind_suspects(scripted: ScriptedAuthority) -> None:
    """They have calls of their own, and few: they share them."""
    scripted.door.clear()
    async with leased(scripted.address, timeout=20) as verifier:
        flood = [
            asyncio.create_task(verifier.verify(new_secret(), source=str(number), suspect=True))
            for number in range(SUSPECTS_CALLS * BATCH + SOURCES)
        ]
        await until(lambda: len(scripted.asked) == SUSPECTS_CALLS * BATCH)
        secret = scripted.issue()
        asking = asyncio.create_task(verifier.verify(secret, source="good"))
        await until(lambda: scripted.asked_for(secret) == 1)
        assert len(scripted.asked) == SUSPECTS_CALLS * BATCH + 1
        scripted.door.set()
        assert (await asking).verdict is Verdict.VALID
        assert {one.verdict for one in await asyncio.gather(*flood)} == {Verdict.UNKNOWN}


async def test_more_than_there_is_room_for_are_refused_at_once(
    scripted: ScriptedAuthority,
) -> None:
    """One source fills half of the room; another still finds some."""
    async with leased(scripted.address, timeout=20) as verifier:
        async with flooded(verifier, scripted):
            waiting = SOURCES * WAITING_OF_EACH
            room = (WAITING - waiting) // 2
            asking = [
                asyncio.create_task(verifier.verify(new_secret(), source="one"))
                for _ in range(room + 30)
            ]
            await until(lambda: verifier.counters.shed == 30)
            another = asyncio.create_task(verifier.verify(scripted.issue(), source="another"))
            await asyncio.sleep(0)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert sum(isinstance(one, VerificationUnavailable) for one in answers) == 30
        assert (await another).verdict is Verdict.VALID


async def test_those_who_wait_share_a_call(scripted: ScriptedAuthority) -> None:
    """So that a flood costs the authority, and this process, little more than a few calls."""
    async with leased(scripted.address, timeout=20) as verifier:
        async with flooded(verifier, scripted):
            pass
        assert scripted.batches[:STRANGERS_CALLS] == [BATCH] * STRANGERS_CALLS
        assert sum(scripted.batches) == UNDER_WAY + SOURCES * WAITING_OF_EACH


async def test_a_secret_stands_in_line_once(scripted: ScriptedAuthority) -> None:
    """Who asks about it before its call is sent shares that; nothing is remembered here."""
    token = Secret(TOKEN)
    async with Verifier(scripted.address, token=token, cache=False, timeout=20) as verifier:
        secret = scripted.issue()
        async with flooded(verifier, scripted):
            asking = [
                asyncio.create_task(verifier.verify(secret, source=source))
                for source in ("one", "another")
            ]
            await asyncio.sleep(0)
        assert {one.verdict for one in await asyncio.gather(*asking)} == {Verdict.VALID}
        assert scripted.asked_for(secret) == 1


async def test_one_that_can_not_be_judged_spoils_no_other(scripted: ScriptedAuthority) -> None:
    """As when the pepper of one is missing: they are asked about one by one."""
    bad, good = scripted.issue(), scripted.issue()

    async def fail(context: Context) -> None:
        # Of a call about both this is the answer to both.
        if bad in [request.secret for request in scripted.asked[-1:]]:
            mismatch = KeyAuthorityError(Reason.KEYRING_MISMATCH, "a pepper is missing")
            await context.abort_with_status(to_status(mismatch))

    scripted.misbehave = fail
    async with leased(scripted.address) as verifier:
        answers = await asyncio.gather(
            *(verifier.verify(secret) for secret in (good, bad)), return_exceptions=True
        )
    assert scripted.batches == [2]
    assert isinstance(answers[0], Verification)
    assert answers[0].verdict is Verdict.VALID
    assert isinstance(answers[1], VerificationUnavailable)


async def test_an_outage_is_asked_about_once(scripted: ScriptedAuthority) -> None:
    """What nobody can be told of many, nobody can be told of one: no call more is made for each."""
    secrets_ = [scripted.issue() for _ in range(10)]

    async def fail(context: Context) -> None:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the books are away")

    scripted.misbehave = fail
    async with leased(scripted.address) as verifier:
        answers = await asyncio.gather(
            *(verifier.verify(secret) for secret in secrets_), return_exceptions=True
        )
    assert scripted.batches == [10]
    assert all(isinstance(answer, VerificationUnavailable) for answer in answers)


async def test_each_answer_of_a_shared_call_is_kept(scripted: ScriptedAuthority) -> None:
    """And dropped by a change, like any other."""
    secrets_ = [scripted.issue() for _ in range(10)]
    async with leased(scripted.address) as verifier:
        await asyncio.gather(*(verifier.verify(secret) for secret in secrets_))
        assert scripted.batches == [10]
        kept = [verifier.peek(secret) for secret in secrets_]
        assert {one.verdict for one in kept if one is not None} == {Verdict.VALID}
        assert all(one is not None and one.holds() for one in kept)
        await scripted.change("key_1")
        await until(lambda: all(verifier.peek(secret) is None for secret in secrets_))
        assert not any(one is not None and one.holds() for one in kept)


async def test_a_shared_call_that_a_change_overtook_counts_for_nothing(
    scripted: ScriptedAuthority,
) -> None:
    """What it said may be true no more: they are asked about anew, together again."""
    scripted.door.clear()
    secrets_ = [scripted.issue() for _ in range(3)]
    async with leased(scripted.address, timeout=20) as verifier:
        asking = asyncio.gather(*(verifier.verify(secret) for secret in secrets_))
        await until(lambda: len(scripted.asked) == 3)
        for secret in secrets_:
            scripted.answers[secret] = reply(pb.VERDICT_REVOKED)
        await scripted.change("key_1")
        await until(lambda: len(scripted.syncs) >= 3)
        await asyncio.sleep(0.1)
        scripted.door.set()
        assert {one.verdict for one in await asking} == {Verdict.REVOKED}
    assert scripted.batches == [3, 3]


async def test_an_outage_forgets_nobody(scripted: ScriptedAuthority) -> None:
    """No verdict says nothing about a secret."""

    async def fail(context: Context) -> None:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "as the test wants")

    async with leased(scripted.address) as verifier:
        secret = scripted.issue()
        await verifier.verify(secret)
        await scripted.change("key_1")
        await until(lambda: verifier.peek(secret) is None)
        scripted.misbehave = fail
        with pytest.raises(VerificationUnavailable):
            await verifier.verify(secret)
        assert verifier.knows(secret)
