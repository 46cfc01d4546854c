"""What a verifier does with a lease, and what without."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from keyauthority.base.process.clocks import LeaseClock, boottime
from keyauthority.client import Secret, Verdict, VerificationUnavailable, Verifier
from keyauthority.client.asking import ACCEPTED_CALLS, STRANGERS_CALLS
from keyauthority.client.lines import BATCH
from keyauthority.v1 import verification_service_pb2 as pb
from tests.client.parts import Context, ScriptedAuthority, leased, until
from tests.gateway.parts import TOKEN, new_secret, serving

REFUSED = [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED]


async def ask(verifier: Verifier, secret: str) -> Verdict:
    return (await verifier.verify(secret)).verdict


async def fail(context: Context) -> None:
    await context.abort(grpc.StatusCode.UNAVAILABLE, "as the test wants")


async def accepted_before(
    verifier: Verifier, scripted: ScriptedAuthority, number: int
) -> list[str]:
    """Secrets that were accepted, and have been dropped from memory; the door is closed."""
    known = [scripted.issue() for _ in range(number)]
    answers = await asyncio.gather(*(ask(verifier, secret) for secret in known))
    assert set(answers) == {Verdict.VALID}
    await scripted.change("key_1")
    await until(lambda: all(verifier.peek(secret) is None for secret in known))
    scripted.asked.clear()
    scripted.batches.clear()
    scripted.door.clear()
    return known


class TestJoining:
    async def test_says_who_it_is_and_that_it_knows_nothing(
        self, scripted: ScriptedAuthority
    ) -> None:
        """Then it acknowledges what it was told, in the session that it was given."""
        async with leased(scripted.address, name="edge 7"):
            await until(lambda: len(scripted.syncs) == 2)
            joined, synced = scripted.syncs
        assert joined == pb.SyncRequest(name="edge 7")
        assert synced.session_id
        assert (synced.epoch, synced.revision) == (1, 1)
        # So short that two in a row may be lost before the lease is.
        assert synced.wait.ToTimedelta().total_seconds() == pytest.approx(15)

    async def test_one_sync_is_under_way_at_a_time(self, scripted: ScriptedAuthority) -> None:
        """However much changes."""
        under_way, most = 0, 0
        sync = scripted.Sync

        async def counted(request: pb.SyncRequest, context: Context) -> pb.SyncResponse:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            try:
                return await sync(request, context)
            finally:
                under_way -= 1

        scripted.Sync = counted  # type: ignore[method-assign]
        async with serving(scripted), leased(scripted.address):
            for number in range(20):
                await scripted.change(f"key_{number}")
            await until(lambda: scripted.syncs[-1].revision == 21)
        assert most == 1

    async def test_again_when_the_session_is_not_known_any_more(
        self, scripted: ScriptedAuthority
    ) -> None:
        """It tells what it has applied, and keeps what it knows."""
        scripted.lease = 0.3
        async with leased(scripted.address) as verifier:
            secret = scripted.issue()
            held = await verifier.verify(secret)
            await until(lambda: len(scripted.syncs) >= 2)
            session = scripted.syncs[-1].session_id
            scripted.sync_fails = grpc.StatusCode.NOT_FOUND
            await until(lambda: scripted.syncs[-1].session_id == "")
            scripted.sync_fails = None
            await until(lambda: scripted.syncs[-1].session_id not in {"", session})
            rejoined = [one for one in scripted.syncs if not one.session_id][-1]
            assert (rejoined.epoch, rejoined.revision) == (1, 1)
            assert await verifier.verify(secret) is held

    async def test_never_without_a_clock_that_goes_on_in_sleep(
        self, scripted: ScriptedAuthority
    ) -> None:
        """A lease could not be measured there: every question is a call, to the books."""
        clock = LeaseClock(boottime, counts_sleep=False)
        async with Verifier(scripted.address, token=Secret(TOKEN), clock=clock) as verifier:
            secret = scripted.issue()
            for _ in range(2):
                await verifier.verify(secret)
        assert scripted.syncs == []
        assert [one.fresh for one in scripted.asked] == [True, True]

    async def test_renewing_it_tells_on_change_nothing(self, scripted: ScriptedAuthority) -> None:
        """Only what changed is of interest."""
        scripted.lease = 0.1
        heard: list[object] = []
        async with leased(scripted.address) as verifier:
            verifier.listeners.append(heard.append)
            await until(lambda: len(scripted.syncs) > 5)
        assert heard == []

    async def test_a_fault_of_on_change_does_not_end_it(self, scripted: ScriptedAuthority) -> None:
        """The loop's handler is told of it; other listeners, and the next change, are served."""
        contexts: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: contexts.append(context)
        )

        def on_change(_: object) -> None:
            raise RuntimeError("as the test wants")

        async with leased(scripted.address) as verifier:
            heard: list[object] = []
            verifier.listeners.extend((on_change, heard.append))
            await scripted.change("key_1")
            await until(lambda: scripted.syncs[-1].revision == 2)
            await scripted.change("key_2")
            await until(lambda: scripted.syncs[-1].revision == 3)
        assert heard == [frozenset({"key_1"}), frozenset({"key_2"})]
        assert {str(one["exception"]) for one in contexts} == {"as the test wants"}


class TestLosingIt:
    async def test_every_question_is_a_call(self, scripted: ScriptedAuthority) -> None:
        """Sync is cut off, Verify is not: it answers, and from memory no more."""
        scripted.lease = 0.3
        async with leased(scripted.address) as verifier:
            secret = scripted.issue()
            await verifier.verify(secret)
            scripted.sync_fails = grpc.StatusCode.UNAVAILABLE
            await until(lambda: not verifier.lease_held)
            assert [await ask(verifier, secret) for _ in range(3)] == [Verdict.VALID] * 3
            assert scripted.asked_for(secret) == 4

    async def test_no_call_no_verdict(self, scripted: ScriptedAuthority) -> None:
        """While the lease lasts what is in memory is told; then nothing is."""
        async with leased(scripted.address) as verifier:
            secret = scripted.issue()
            await verifier.verify(secret)
            scripted.misbehave = fail
            assert await ask(verifier, secret) is Verdict.VALID
            with pytest.raises(VerificationUnavailable):
                await verifier.verify(new_secret())
            verifier._cache.lose_lease()
            with pytest.raises(VerificationUnavailable):
                await verifier.verify(secret)

    async def test_a_failed_sync_alone_does_not(self, scripted: ScriptedAuthority) -> None:
        """An outage of the authority is ridden out for as long as the lease says."""
        async with leased(scripted.address) as verifier:
            secret = scripted.issue()
            await verifier.verify(secret)
            await until(lambda: len(scripted.syncs) == 2)
            scripted.sync_fails = grpc.StatusCode.UNAVAILABLE
            await scripted.change()
            await until(lambda: len(scripted.syncs) >= 4)
            assert await ask(verifier, secret) is Verdict.VALID
            assert scripted.asked_for(secret) == 1

    @pytest.mark.parametrize("code", REFUSED)
    async def test_at_once_when_its_own_credential_is_refused(
        self, scripted: ScriptedAuthority, code: grpc.StatusCode
    ) -> None:
        """A lease of a minute, and none of it is used up."""
        async with leased(scripted.address) as verifier:
            secret = scripted.issue()
            held = await verifier.verify(secret)
            scripted.sync_fails = code
            scripted.misbehave = fail
            await scripted.change()
            await until(lambda: not verifier.lease_held)
            assert held.alive
            with pytest.raises(VerificationUnavailable):
                await verifier.verify(secret)


class TestShorterOnes:
    async def test_none_is_granted_every_question_is_a_call(
        self, scripted: ScriptedAuthority
    ) -> None:
        """It goes on following, and answers from memory as soon as it may again."""
        async with leased(scripted.address) as verifier:
            secret = scripted.issue()
            await verifier.verify(secret)
            scripted.lease = 0.0
            verifier._cache.lose_lease()
            await scripted.change("key_1")
            await until(lambda: scripted.syncs[-1].revision == 2)
            assert not verifier.lease_held
            assert [await ask(verifier, secret) for _ in range(3)] == [Verdict.VALID] * 3
            assert scripted.asked_for(secret) == 4
            assert scripted.syncs[-1].wait.ToTimedelta().total_seconds() == pytest.approx(0.5)
            scripted.lease = 60.0
            await scripted.change("key_2")
            await until(lambda: verifier.lease_held)

    @pytest.mark.parametrize("lease", [0.0, 0.001])
    async def test_it_does_not_ask_without_end(
        self, scripted: ScriptedAuthority, lease: float
    ) -> None:
        """Also where its polls are not held."""
        scripted.lease = lease
        sync = scripted.Sync

        async def at_once(request: pb.SyncRequest, context: Context) -> pb.SyncResponse:
            request.wait.Clear()
            return await sync(request, context)

        scripted.Sync = at_once  # type: ignore[method-assign]
        async with serving(scripted) as one, Verifier(one.address, token=Secret(TOKEN)):
            await until(lambda: len(scripted.syncs) > 1)
            before = len(scripted.syncs)
            await asyncio.sleep(0.5)
            assert len(scripted.syncs) - before <= 10

    async def test_a_far_verifier_has_the_time_that_the_way_takes(
        self, scripted: ScriptedAuthority
    ) -> None:
        """However short the lease: a Sync that is never waited for would never renew it."""
        scripted.lease = 0.4
        sync = scripted.Sync

        async def far(request: pb.SyncRequest, context: Context) -> pb.SyncResponse:
            await asyncio.sleep(0.2)
            return await sync(request, context)

        scripted.Sync = far  # type: ignore[method-assign]
        async with serving(scripted) as one, leased(one.address) as verifier:
            await until(lambda: len(scripted.syncs) > 3)
            before = verifier._following.heard
            await until(lambda: verifier._following.heard > before)


class TestCrowds:
    async def test_a_join_that_was_not_answered_in_time_is_given_longer(
        self, scripted: ScriptedAuthority
    ) -> None:
        """Where very many join at once none would be answered within the same short deadline."""
        left: list[float] = []

        async def slow(request: pb.SyncRequest, context: Context) -> pb.SyncResponse:
            left.append(context.time_remaining() or 0.0)
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "as the test wants")
            raise AssertionError

        scripted.Sync = slow  # type: ignore[method-assign]
        async with serving(scripted) as one, Verifier(one.address, token=Secret(TOKEN)):
            await until(lambda: len(left) == 5)
        assert [round(seconds) for seconds in left] == [2, 4, 8, 8, 8]


SMALL_BATCH = 4
UNDER_WAY = ACCEPTED_CALLS * SMALL_BATCH
ROOM_OF_ONE = 100
"""Secrets of one source that wait in little room."""
KEYS_IN_USE = 5_000


class TestPlaces:
    async def test_without_a_lease_a_question_too_many_is_refused_at_once(
        self, scripted: ScriptedAuthority
    ) -> None:
        """Also if all come in the same moment: so many wait, and no more."""
        scripted.door.clear()
        async with Verifier(
            scripted.address,
            token=Secret(TOKEN),
            timeout=20,
            cache=False,
            batch=SMALL_BATCH,
            waiting=2 * ROOM_OF_ONE,
        ) as verifier:
            questions = [
                asyncio.create_task(ask(verifier, new_secret())) for _ in range(ROOM_OF_ONE + 20)
            ]
            done, held = await asyncio.wait(questions, timeout=0.5)
            assert (len(done), len(held)) == (20, ROOM_OF_ONE)
            assert {type(one.exception()) for one in done} == {VerificationUnavailable}
            assert verifier.counters.shed == verifier.counters.unavailable == 20
            await until(lambda: len(scripted.asked) == STRANGERS_CALLS * SMALL_BATCH)
            scripted.door.set()
            assert {await one for one in held} == {Verdict.UNKNOWN}
            assert await ask(verifier, new_secret()) is Verdict.UNKNOWN

    async def test_all_keys_in_use_are_asked_about_after_a_cold_start(
        self, scripted: ScriptedAuthority
    ) -> None:
        """In few calls, though none was accepted before and one source presents all."""
        keys = [scripted.issue() for _ in range(KEYS_IN_USE)]
        async with Verifier(scripted.address, token=Secret(TOKEN), timeout=60) as verifier:
            answers = await asyncio.gather(*(ask(verifier, key) for key in keys))
            assert set(answers) == {Verdict.VALID}
            assert verifier.counters.shed == 0
        assert sum(scripted.batches) == len(scripted.asked)
        # What was asked before the session began counts for nothing, and is asked again.
        assert len(scripted.batches) <= KEYS_IN_USE / BATCH + 2 * STRANGERS_CALLS
        assert len(scripted.asked) <= KEYS_IN_USE + STRANGERS_CALLS * BATCH

    async def test_all_keys_in_use_are_asked_about_when_the_lease_is_lost(
        self, scripted: ScriptedAuthority
    ) -> None:
        """Each request anew, in few calls; nothing comes from memory."""
        scripted.lease = 1.0
        keys = [scripted.issue() for _ in range(KEYS_IN_USE)]
        async with leased(scripted.address, timeout=60) as verifier:
            await asyncio.gather(*(ask(verifier, key) for key in keys))
            scripted.sync_fails = grpc.StatusCode.UNAVAILABLE
            await until(lambda: not verifier.lease_held)
            scripted.batches.clear()
            scripted.asked.clear()
            answers = await asyncio.gather(*(ask(verifier, key) for key in keys))
            assert set(answers) == {Verdict.VALID}
            assert verifier.counters.shed == 0
            assert not verifier.lease_held
        assert sum(scripted.batches) == len(scripted.asked) == KEYS_IN_USE
        assert len(scripted.batches) <= KEYS_IN_USE / BATCH + ACCEPTED_CALLS

    async def test_a_question_alone_goes_alone_and_what_waits_goes_together(
        self, scripted: ScriptedAuthority
    ) -> None:
        """While a call is free nothing waits; then what has come meanwhile shares the next one."""
        async with leased(scripted.address, timeout=20) as verifier:
            known = await accepted_before(verifier, scripted, ACCEPTED_CALLS + 20)
            questions = []
            for number, one in enumerate(known[:ACCEPTED_CALLS], 1):
                questions.append(asyncio.create_task(ask(verifier, one)))
                await scripted.until_asked(number)
            questions += [asyncio.create_task(ask(verifier, one)) for one in known[ACCEPTED_CALLS:]]
            await asyncio.sleep(0.05)
            assert (len(scripted.asked), scripted.batches) == (ACCEPTED_CALLS, [])
            scripted.door.set()
            assert set(await asyncio.gather(*questions)) == {Verdict.VALID}
            assert scripted.batches == [20]

    async def test_under_a_lease_it_waits_its_turn(self, scripted: ScriptedAuthority) -> None:
        """The authority is there: it is asked so many things at a time, and answers all."""
        async with leased(scripted.address, timeout=20, batch=SMALL_BATCH) as verifier:
            known = await accepted_before(verifier, scripted, UNDER_WAY + 20)
            questions = [asyncio.create_task(ask(verifier, one)) for one in known]
            await until(lambda: len(scripted.asked) == UNDER_WAY)
            await asyncio.sleep(0.1)
            assert len(scripted.asked) == UNDER_WAY
            scripted.door.set()
            assert set(await asyncio.gather(*questions)) == {Verdict.VALID}
            assert (len(scripted.asked), verifier.counters.shed) == (UNDER_WAY + 20, 0)

    async def test_hits_need_none(self, scripted: ScriptedAuthority) -> None:
        """What is in memory is told however busy the authority is."""
        async with leased(scripted.address, timeout=20, batch=SMALL_BATCH) as verifier:
            secret = scripted.issue()
            await verifier.verify(secret)
            scripted.door.clear()
            questions = [asyncio.create_task(ask(verifier, new_secret())) for _ in range(UNDER_WAY)]
            await until(lambda: len(scripted.asked) == STRANGERS_CALLS * SMALL_BATCH + 1)
            assert await ask(verifier, secret) is Verdict.VALID
            scripted.door.set()
            await asyncio.gather(*questions)

    async def test_a_call_that_nobody_waits_for_any_more_is_not_made(
        self, scripted: ScriptedAuthority
    ) -> None:
        """Or those who still wait would stand behind those who gave up."""
        async with leased(scripted.address, timeout=20, batch=SMALL_BATCH) as verifier:
            known = await accepted_before(verifier, scripted, UNDER_WAY + 21)
            questions = [asyncio.create_task(ask(verifier, one)) for one in known[:UNDER_WAY]]
            await until(lambda: len(scripted.asked) == UNDER_WAY)
            gone = [asyncio.create_task(ask(verifier, one)) for one in known[UNDER_WAY:-1]]
            last = asyncio.create_task(ask(verifier, known[-1]))
            await asyncio.sleep(0)
            for one in gone:
                one.cancel()
            await asyncio.wait(gone)
            scripted.door.set()
            assert set(await asyncio.gather(*questions, last)) == {Verdict.VALID}
            assert len(scripted.asked) == UNDER_WAY + 1


class TestClosing:
    async def test_leaves_the_session(self, scripted: ScriptedAuthority) -> None:
        """Once, after the last hit."""
        async with leased(scripted.address) as verifier:
            secret = scripted.issue()
            held = await verifier.verify(secret)
            await until(lambda: len(scripted.syncs) == 2)
        assert scripted.left == [scripted.syncs[-1].session_id]
        assert not verifier.lease_held
        assert verifier.peek(secret) is None
        assert held.alive

    async def test_cancels_what_is_under_way(self, scripted: ScriptedAuthority) -> None:
        """Who still waits gets no verdict; nothing runs on."""
        scripted.door.clear()
        async with leased(scripted.address, timeout=0.3) as verifier:
            asking = asyncio.create_task(ask(verifier, scripted.issue()))
            await until(lambda: len(scripted.asked) == 1)
        with pytest.raises(VerificationUnavailable):
            await asking
        assert not verifier._tasks

    async def test_is_not_held_up_by_an_authority_that_is_gone(self) -> None:
        """The session ends by itself then."""
        authority = ScriptedAuthority()
        async with serving(authority) as serving_one:
            verifier = Verifier(serving_one.address, token=Secret(TOKEN))
            await verifier.__aenter__()
            await until(lambda: verifier.lease_held)
        async with asyncio.timeout(5):
            await verifier.__aexit__(None, None, None)
        assert not verifier.lease_held
