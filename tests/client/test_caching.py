"""What a verifier keeps, what it asks, and whose answer it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from keyauthority.client import Secret, Verdict, VerificationUnavailable, Verifier
from keyauthority.v1 import verification_service_pb2 as pb
from tests.client.parts import ScriptedAuthority, leased, until
from tests.gateway.parts import TOKEN, new_secret, reply, valid_reply


@pytest.fixture
async def verifier(scripted: ScriptedAuthority) -> AsyncIterator[Verifier]:
    async with leased(scripted.address) as verifier:
        yield verifier


def about(key_id: str, workspace_id: str = "ws_1", cache_for: float = 60) -> pb.VerifyResponse:
    key = pb.VerifiedKey(id=key_id, workspace_id=workspace_id, name="one")
    return reply(pb.VERDICT_VALID, key, cache_for)


def revoked(key_id: str, *, whole: bool) -> pb.VerifyResponse:
    answer = reply(pb.VERDICT_REVOKED, pb.VerifiedKey(id=key_id, workspace_id="ws_1", name="one"))
    answer.key_revoked = whole
    return answer


async def ask(verifier: Verifier, secret: str) -> Verdict:
    return (await verifier.verify(secret)).verdict


class TestHits:
    async def test_a_hit_makes_no_call(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """The first question is a call, the others are not; `peek` never is one."""
        secret = scripted.issue()
        assert verifier.peek(secret) is None
        first = await verifier.verify(secret)
        assert [await verifier.verify(secret) for _ in range(3)] == [first] * 3
        assert verifier.peek(secret) is first
        assert len(scripted.asked) == 1

    async def test_counters_tell_hits_from_misses(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """What got no verdict is a miss that was unavailable."""
        secret = scripted.issue()
        for _ in range(3):
            await verifier.verify(secret)

        async def fail(context: grpc.aio.ServicerContext[object, object]) -> None:
            await context.abort(grpc.StatusCode.INTERNAL, "as the test wants")

        scripted.misbehave = fail
        with pytest.raises(VerificationUnavailable):
            await verifier.verify(new_secret())
        counted = verifier.counters
        assert (counted.hits, counted.misses, counted.unavailable, counted.shed) == (2, 2, 1, 0)

    async def test_the_same_answer_again_lets_the_first_hold_on(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """Without a lease each question is a call; none takes the verdict from who asked before.

        But a change takes it from both.
        """
        secret = scripted.issue(about("key_1"))
        first = await verifier.verify(secret)
        verifier._cache.lose_lease()

        second = await verifier.verify(secret)

        assert len(scripted.asked) == 2
        assert (first.holds(), second.holds()) == (True, True)
        await scripted.change("key_1")
        await until(lambda: not first.alive)
        assert (first.holds(), second.holds()) == (False, False)

    async def test_a_changed_key_is_asked_for_again(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """The key that changed, and no other."""
        changed, kept = scripted.issue(about("key_1")), scripted.issue(about("key_2"))
        held = await verifier.verify(changed)
        await verifier.verify(kept)
        await scripted.change("key_1")
        await until(lambda: not held.alive)
        await verifier.verify(changed)
        await verifier.verify(kept)
        assert (scripted.asked_for(changed), scripted.asked_for(kept)) == (2, 1)

    async def test_a_changed_workspace_takes_all_of_its_keys(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """One subject for a suspension, however many keys it has."""
        inside = [scripted.issue(about(f"key_{number}", "ws_1")) for number in range(3)]
        outside = scripted.issue(about("key_9", "ws_2"))
        held = [await verifier.verify(secret) for secret in inside]
        other = await verifier.verify(outside)
        await scripted.change("ws_1")
        await until(lambda: not held[0].alive)
        assert [one.holds() for one in held] == [False] * 3
        assert other.holds()

    async def test_an_answer_holds_as_long_as_it_says(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """A key that is about to expire is asked for again then, though nothing changes."""
        secret = scripted.issue(about("key_1", cache_for=0.05))
        held = await verifier.verify(secret)
        await until(lambda: not held.holds())
        await verifier.verify(secret)
        assert len(scripted.asked) == 2

    async def test_an_answer_without_time_left_is_not_kept(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """UNKNOWN of a foreign secret, for instance: importing it is no change to wait for."""
        scripted.foreign_secrets = True
        await scripted.change()
        await until(lambda: scripted.syncs[-1].revision == 2)
        foreign, native = "x" * 20, new_secret()
        scripted.answers = {
            foreign: reply(pb.VERDICT_UNKNOWN, cache_for=0),
            native: reply(pb.VERDICT_UNKNOWN, cache_for=2),
        }
        for _ in range(2):
            assert await ask(verifier, foreign) is Verdict.UNKNOWN
            assert await ask(verifier, native) is Verdict.UNKNOWN
        assert (scripted.asked_for(foreign), scripted.asked_for(native)) == (2, 1)

    async def test_only_so_many_are_kept(self, scripted: ScriptedAuthority) -> None:
        """Those unused for longest go; whoever has one in hand can tell."""
        async with leased(scripted.address, capacity=3) as verifier:
            secrets = [scripted.issue(about(f"key_{number}")) for number in range(4)]
            first = [await verifier.verify(secret) for secret in secrets[:3]]
            await verifier.verify(secrets[0])
            await verifier.verify(secrets[3])
            assert verifier.entries == 3
            assert [one.alive for one in first] == [True, False, True]

    async def test_nothing_shows_a_secret(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """Nor the token: neither verdicts, nor verifiers, nor their errors."""
        secret = scripted.issue()
        texts = [repr(await verifier.verify(secret)), repr(verifier), str(vars(verifier))]
        scripted.answers[secret] = pb.VerifyResponse(verdict=99)  # type: ignore[arg-type]
        await scripted.change("key_1")
        await until(lambda: verifier.peek(secret) is None)
        with pytest.raises(VerificationUnavailable) as caught:
            await verifier.verify(secret)
        texts.append(repr(caught.value))
        assert secret not in "".join(texts)
        assert TOKEN not in "".join(texts[:2])


class TestRevoked:
    async def test_is_final(self, scripted: ScriptedAuthority, verifier: Verifier) -> None:
        """Whatever changes, and whatever the authority says later, of that or another epoch."""
        secret = scripted.issue(revoked("key_1", whole=False))
        assert await ask(verifier, secret) is Verdict.REVOKED
        scripted.answers[secret] = about("key_1")
        scripted.epoch = 2
        await scripted.change("key_1", "ws_1")
        await until(lambda: scripted.syncs[-1].epoch == 2)
        assert await ask(verifier, secret) is Verdict.REVOKED
        assert scripted.asked_for(secret) == 1

    async def test_of_a_whole_key_takes_its_other_secrets(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """What was accepted by another secret of it is asked for again."""
        old, new = scripted.issue(revoked("key_1", whole=True)), scripted.issue(about("key_1"))
        accepted = await verifier.verify(new)
        await verifier.verify(old)
        assert not accepted.holds()

    async def test_of_one_secret_leaves_the_other(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """A rotation retired it; its heir acts."""
        old, new = scripted.issue(revoked("key_1", whole=False)), scripted.issue(about("key_1"))
        accepted = await verifier.verify(new)
        await verifier.verify(old)
        assert accepted.holds()


class TestQuestions:
    async def test_an_answer_to_an_earlier_call_is_not_taken(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """A call is under way, the key is revoked, another request comes: its verdict is new."""
        secret = scripted.issue()
        scripted.door.clear()
        early = asyncio.create_task(ask(verifier, secret))
        await until(lambda: len(scripted.asked) == 1)
        scripted.answers[secret] = revoked("key_1", whole=True)
        late = asyncio.create_task(ask(verifier, secret))
        await asyncio.sleep(0.05)
        assert scripted.asked_for(secret) == 1
        # So that the earlier answer, which no change overtook, is not kept for those who wait.
        verifier._cache.lose_lease()
        scripted.door.set()
        assert (await early, await late) == (Verdict.VALID, Verdict.REVOKED)

    async def test_many_askers_make_two_calls_at_most(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """One that runs, and one next for all who came meanwhile."""
        secret = scripted.issue(about("key_1", cache_for=0))
        scripted.door.clear()
        asking = [asyncio.create_task(ask(verifier, secret)) for _ in range(10)]
        await until(lambda: len(scripted.asked) == 1)
        asking += [asyncio.create_task(ask(verifier, secret)) for _ in range(100)]
        await asyncio.sleep(0)
        scripted.door.set()
        assert set(await asyncio.gather(*asking)) == {Verdict.VALID}
        assert len(scripted.asked) == 2

    async def test_those_who_came_meanwhile_are_answered_from_memory(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """If the answer may be kept, it is as good for them as any hit: one call in all."""
        secret = scripted.issue()
        scripted.door.clear()
        asking = [asyncio.create_task(ask(verifier, secret)) for _ in range(10)]
        await until(lambda: len(scripted.asked) == 1)
        asking += [asyncio.create_task(ask(verifier, secret)) for _ in range(10)]
        await asyncio.sleep(0)
        scripted.door.set()
        await asyncio.gather(*asking)
        assert len(scripted.asked) == 1

    async def test_an_asker_who_leaves_takes_nobody_along(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """The call goes on for the others."""
        secret = scripted.issue()
        scripted.door.clear()
        asking = [asyncio.create_task(ask(verifier, secret)) for _ in range(3)]
        await until(lambda: len(scripted.asked) == 1)
        asking[0].cancel()
        await asyncio.wait(asking[:1])
        scripted.door.set()
        assert await asyncio.gather(*asking[1:]) == [Verdict.VALID] * 2

    async def test_an_answer_overtaken_by_a_change_is_asked_for_again(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """Read before the change and told after it: by then it may be wrong."""
        secret = scripted.issue(about("key_1"))
        scripted.door.clear()
        asking = asyncio.create_task(verifier.verify(secret))
        await until(lambda: len(scripted.asked) == 1)
        scripted.answers[secret] = reply(pb.VERDICT_DISABLED, about("key_1").key)
        await scripted.change("key_1")
        await until(lambda: scripted.syncs[-1].revision == 2)
        scripted.door.set()
        assert (await asking).verdict is Verdict.DISABLED
        assert [one.at_least_revision for one in scripted.asked] == [1, 2]

    async def test_answers_below_what_was_seen_are_asked_for_again(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """Seen in any answer, told by Sync or not; and the questions say so."""
        ahead, behind = scripted.issue(about("key_1")), scripted.issue(about("key_2"))
        scripted.heads = [(1, 7), (1, 6), (1, 5), (1, 8)]
        await verifier.verify(ahead)
        await verifier.verify(behind)
        assert [one.at_least_revision for one in scripted.asked] == [1, 7, 7, 7]

    async def test_answers_that_stay_below_are_no_verdict(
        self, scripted: ScriptedAuthority
    ) -> None:
        """Asked again within the time that the question has, and no longer."""
        async with leased(scripted.address, timeout=0.3) as verifier:
            scripted.heads = [(1, 7)]
            await verifier.verify(scripted.issue())
            with pytest.raises(VerificationUnavailable):
                await verifier.verify(scripted.issue())
            assert len(scripted.asked) > 2

    @pytest.mark.parametrize("epoch", [1, 3])
    async def test_answers_of_another_epoch_are_no_verdict(
        self, scripted: ScriptedAuthority, epoch: int
    ) -> None:
        """From before a restore or from after one that Sync has not told of yet."""
        scripted.epoch = 2
        async with leased(scripted.address, timeout=0.2) as verifier:
            secret = scripted.issue()
            scripted.heads = [(epoch, 1_000)] * 1_000
            with pytest.raises(VerificationUnavailable):
                await verifier.verify(secret)
            scripted.heads = []
            assert await ask(verifier, secret) is Verdict.VALID
            assert scripted.asked[-1].at_least_revision == 1

    async def test_a_new_epoch_drops_what_was_known(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """And begins to count anew, though its revisions are smaller."""
        secret = scripted.issue()
        scripted.heads = [(1, 900)]
        held = await verifier.verify(secret)
        heard: list[object] = []
        verifier.listeners.append(heard.append)
        scripted.epoch = 2
        await scripted.change()
        await until(lambda: scripted.syncs[-1].epoch == 2)
        assert not held.holds()
        assert heard == [None]
        assert await ask(verifier, secret) is Verdict.VALID
        assert scripted.asked[-1].at_least_revision == 2

    async def test_the_books_are_asked_until_the_first_sync(
        self, scripted: ScriptedAuthority
    ) -> None:
        """Before it the verifier knows no revision below which an answer is too old."""
        scripted.sync_fails = grpc.StatusCode.UNAVAILABLE
        secret = scripted.issue()
        async with Verifier(scripted.address, token=Secret(TOKEN), timeout=5) as verifier:
            await verifier.verify(secret)
            await verifier.verify(secret)
            assert [one.fresh for one in scripted.asked] == [True, True]
            scripted.sync_fails = None
            await until(lambda: verifier.lease_held)
            await verifier.verify(secret)
            scripted.sync_fails = grpc.StatusCode.UNAUTHENTICATED
            await scripted.change("key_1")
            await until(lambda: not verifier.lease_held)
            await verifier.verify(secret)
            assert [one.fresh for one in scripted.asked] == [True, True, False, False]

    async def test_without_a_cache_the_books_are_always_asked(
        self, scripted: ScriptedAuthority
    ) -> None:
        """And no lease is asked for."""
        secret = scripted.issue()
        async with Verifier(scripted.address, token=Secret(TOKEN), cache=False) as verifier:
            for _ in range(3):
                await verifier.verify(secret)
            await asyncio.sleep(0.1)
            assert not verifier.lease_held
            assert verifier.entries == 0
        assert [one.fresh for one in scripted.asked] == [True] * 3
        assert (scripted.syncs, scripted.left) == ([], [])


class TestForeignSecrets:
    async def test_are_refused_at_once_if_none_was_ever_imported(
        self, scripted: ScriptedAuthority, verifier: Verifier
    ) -> None:
        """Sync says so, and would say otherwise before the first is accepted anywhere."""
        assert await ask(verifier, "x" * 20) is Verdict.UNKNOWN
        assert scripted.asked == []

    async def test_are_asked_for_if_any_was_imported(self, scripted: ScriptedAuthority) -> None:
        """From the first import on."""
        async with leased(scripted.address) as verifier:
            scripted.foreign_secrets = True
            await scripted.change()
            await until(lambda: scripted.syncs[-1].revision == 2)
            scripted.answers["x" * 20] = valid_reply()
            assert await ask(verifier, "x" * 20) is Verdict.VALID

    async def test_are_asked_for_without_a_lease(self, scripted: ScriptedAuthority) -> None:
        """Nobody would tell of the first import."""
        async with leased(scripted.address) as verifier:
            scripted.sync_fails = grpc.StatusCode.UNAUTHENTICATED
            await scripted.change()
            await until(lambda: not verifier.lease_held)
            scripted.answers["x" * 20] = valid_reply()
            assert await ask(verifier, "x" * 20) is Verdict.VALID
