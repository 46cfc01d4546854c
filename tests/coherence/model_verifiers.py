"""What verifiers do, as `keyauthority.client` does it, and what requests come to."""

from __future__ import annotations

from collections.abc import Iterator

from tests.coherence.machines import Step
from tests.coherence.model_changes import Changes
from tests.coherence.world import (
    KEY_OF,
    Answered,
    CacheState,
    Leaving,
    Question,
    Reading,
    Recording,
    SyncAnswered,
    SyncSent,
    Waiter,
    World,
    calls_asleep,
    judged,
    wake_calls,
)


class Verifiers(Changes):
    """Follows, asks and answers."""

    def verifiers_act(self, world: World) -> Iterator[Step]:
        for follower in self.followers():
            state = world.caches[follower]
            if not state.left and self.may_sync(world, follower):
                yield from self.send_sync(world, follower)
            if follower >= self.has.verifiers:
                continue
            for secret in self.has.secrets:
                yield from self.request(world, follower, secret)
            if "leave" in self.has.may and not state.left and state.session_id:
                yield self.leave(world, follower)
            if "restart" in self.has.may and world.misfortunes:
                yield self.restart_verifier(world, follower)

    def followers(self) -> range:
        return range(self.has.verifiers + (self.has.processes if self.has.own_caches else 0))

    def may_sync(self, world: World, follower: int) -> bool:
        own = follower >= self.has.verifiers
        if own and world.processes[follower - self.has.verifiers].state != "up":
            return False
        if world.caches[follower].syncs >= (self.has.own_syncs if own else self.has.syncs):
            return False
        under_way = sum(
            isinstance(one, SyncSent | SyncAnswered | Recording) and one.follower == follower
            for one in world.net
        )
        return under_way < (1 if own else self.has.under_way)

    def send_sync(self, world: World, follower: int) -> Iterator[Step]:
        state, call = self.begun_sync(world.caches[follower], self.clock(world, follower))
        message = SyncSent(follower, call, False)
        world = self.sent(self.with_cache(world, follower, state), message)
        label = f"{self.name(follower)} sends Sync {call.number}, claiming {call.claim.revision}"
        if "slow" in self.has.may:
            yield label, world, ""
            return
        for process in self.serving(world, follower):
            for then, after, broken in self.sync(world, message, process):
                yield f"{label}; {then}", after, broken

    def take_sync(self, world: World, message: SyncAnswered) -> Step:
        follower, now = message.follower, self.clock(world, message.follower)
        state = self.taken(world.caches[follower], message.call, message.grant, message.gone, now)
        world = self.with_cache(self.arrived(world, message), follower, state)
        told = f"head {message.grant.head.revision}" if message.grant else message.gone
        return f"{self.name(follower)} hears of Sync {message.call.number}: {told}", world, ""

    def request(self, world: World, follower: int, secret: str) -> Iterator[Step]:
        if self.hit(world.caches[follower], secret, self.clock(world, follower)):
            return
        calls = wake_calls(world.calls[follower], self.calls_type)
        if sum(
            len(some) for each in world.calls[follower] for one, some in each if one == secret
        ) >= (self.has.waiters):
            return
        waiter = self.waiter(world, follower, secret)
        asks = calls.arrive(secret.encode(), waiter)
        if asks:
            calls.send(secret.encode())
        world = world._replace(calls=self.replaced(world.calls, follower, calls_asleep(calls)))
        label = f"a request with secret {secret} comes to {self.name(follower)}"
        if not asks:
            yield label, world, ""
            return
        sent = self.send_question(world, follower, secret)
        if "slow" in self.has.may:
            yield label, sent, ""
            return
        [question] = sent.net - world.net
        assert isinstance(question, Question)
        for process in range(self.has.processes):
            for then, after, broken in self.verify(sent, question, process):
                yield f"{label}; {then}", after, broken

    def waiter(self, world: World, follower: int, secret: str) -> Waiter:
        """What a request that arrives now has to be answered by."""
        version = len(world.versions) - 1 if self.has.fresh else world.returned
        refused = bool({secret, KEY_OF[secret]} & world.refused[follower])
        return Waiter(version, refused, world.tick if self.has.expires is not None else 0)

    def send_question(self, world: World, follower: int, secret: str) -> World:
        ask = self.asked(world.caches[follower], self.clock(world, follower))
        return self.sent(world, Question(follower, secret, ask))

    def hear(self, world: World, message: Answered) -> Step:
        (follower, secret, ask), given = message
        now = self.clock(world, follower)
        state, verdict, whole = self.told(world.caches[follower], ask, secret, given, now)
        world = self.with_cache(self.arrived(world, message), follower, state)
        label = f"{self.name(follower)} hears that {secret} is {given.verdict} at {given.revision}"
        if not verdict:
            return f"{label}, asks again", self.send_question(world, follower, secret), ""
        world, broken = self.answer(world, follower, secret, verdict, whole=whole)
        return label, world, broken

    def answer(
        self, world: World, follower: int, secret: str, verdict: str, *, whole: bool
    ) -> tuple[World, str]:
        calls, digest = wake_calls(world.calls[follower], self.calls_type), secret.encode()
        broken = ""
        for waiter in calls.end(digest):
            broken = broken or self.wrong(world, secret, verdict, waiter)
        if verdict == "REVOKED" and not self.has.plain:
            refused = world.refused[follower] | {KEY_OF[secret] if whole else secret}
            world = world._replace(refused=self.replaced(world.refused, follower, refused))
        again = calls.proceed(digest)
        if again and self.hit(world.caches[follower], secret, self.clock(world, follower)):
            # Judged as any hit is, in `broken`.
            calls.withdraw(digest)
            again = False
        elif again:
            calls.send(digest)
        world = world._replace(calls=self.replaced(world.calls, follower, calls_asleep(calls)))
        return (self.send_question(world, follower, secret) if again else world), broken

    def wrong(self, world: World, secret: str, verdict: str, waiter: Waiter) -> str:
        if waiter.refused and verdict == "VALID":
            return f"promise 4: {secret} is accepted after its refusal"
        possible = {
            self.judged_at(secret, facts, tick)
            for facts, _ in world.versions[waiter.version :]
            for tick in {waiter.arrived, world.tick}
        }
        if verdict in possible:
            return ""
        if verdict == "REVOKED" and any(
            judged(secret, facts) == "REVOKED" for facts, _ in world.versions
        ):
            return ""
        return f"promises 1-3, 5: {secret} is {verdict}, not {' or '.join(sorted(possible))}"

    def leave(self, world: World, follower: int) -> Step:
        state, session_id = self.parted(world.caches[follower], self.clock(world, follower))
        world = self.sent(self.with_cache(world, follower, state), Leaving(follower, session_id))
        return f"{self.name(follower)} leaves", world, ""

    def restart_verifier(self, world: World, follower: int) -> Step:
        old = world.caches[follower]
        world = self.with_cache(world, follower, self.reborn(old))
        net = frozenset(
            one
            for one in world.net
            if not (
                (type(one) is SyncAnswered and one.follower == follower)
                or (type(one) is Question and one.follower == follower)
                or (type(one) in (Answered, Reading) and one[0].follower == follower)
            )
        )
        calls = self.replaced(world.calls, follower, ((), ()))
        world = world._replace(net=net, calls=calls, misfortunes=world.misfortunes - 1)
        return f"{self.name(follower)} starts anew", world, ""

    def reborn(self, old: CacheState) -> CacheState:
        return CacheState(syncs=old.syncs, left=self.has.fresh or self.has.plain)
