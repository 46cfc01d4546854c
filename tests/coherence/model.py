"""A model of the whole protocol around the shipped machines: verifiers, authority, a bad network.

Time goes in ticks of a true second. The clocks are as wrong as they may be: those of verifiers slow,
those of processes fast (or slow, where their own lease matters). All that is under way may arrive in
any order, late or never; anything may pause for as long as it likes, by not being what happens next.

The promises, for requests that do not overlap with the change: an answer has to be right for some
state of the books between the newest change whose caller knows it is made (or that is older than W)
when the request arrived, and the one when it was answered. That is promises 1, 2 and 3; 5 for a
verifier without a cache counts from the newest change at all; 4 is remembered for each verifier.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.coherence.machines import Step
from tests.coherence.model_misfortunes import Misfortunes
from tests.coherence.world import (
    Answered,
    Committed,
    Committing,
    Leaving,
    Question,
    Reading,
    Recording,
    SyncAnswered,
    SyncSent,
    World,
)


class Model(Misfortunes):
    """The correct protocol. A seeded bug is a subclass that overrides one thing."""

    def first(self) -> World:
        world = self.fresh_world()
        for wanted in self.has.begins:
            world = next(after for label, after, _ in self.steps(world) if wanted in label)
        return world

    def steps(self, world: World) -> Iterator[Step]:
        if world.tick < self.has.ticks:
            yield self.tick(world)
        yield from self.verifiers_act(world)
        yield from self.messages_arrive(world)
        yield from self.processes_act(world)

    def tick(self, world: World) -> Step:
        tick = world.tick + 1
        returned = world.returned
        for version in range(returned + 1, len(world.versions)):
            if world.versions[version][1] + self.bound <= tick:
                returned = version
        world = world._replace(tick=tick, returned=returned)
        caches = tuple(
            self.aged(state, self.clock(world, follower))
            for follower, state in enumerate(world.caches)
        )
        return "a second passes", world._replace(caches=caches), ""

    def messages_arrive(self, world: World) -> Iterator[Step]:  # noqa: C901 - a table
        for message in world.net:
            match message:
                case SyncSent():
                    for process in self.serving(world, message.follower):
                        yield from self.sync(world, message, process)
                case Recording():
                    yield self.record(world, message)
                case SyncAnswered():
                    yield self.take_sync(world, message)
                case Question():
                    for process in range(self.has.processes):
                        yield from self.verify(world, message, process)
                case Reading():
                    yield from self.finish_reading(world, message)
                case Answered():
                    yield self.hear(world, message)
                case Leaving():
                    yield self.left(world, message)
                case Committing():
                    yield from self.ends(world, message)
                case Committed():
                    yield self.hears_of_commit(world, message)

    def processes_act(self, world: World) -> Iterator[Step]:
        for number, process in enumerate(world.processes):
            if process.state == "up":
                yield from self.change(world, number)
                if "janitor" in self.has.may:
                    yield from self.sweep(world, number)
                if "allow" in self.has.may:
                    yield from self.allow(world, number)
            yield from self.suffer(world, number)
        for fence in world.fences:
            yield from self.look(world, fence)
        if world.books.settling is not None and self.has_settled(world, world.books.settling):
            books = world.books._replace(settling=None)
            yield "the restore has settled", world._replace(books=books), ""
        if "prune" in self.has.may and world.books.changes:
            books = world.books._replace(changes=world.books.changes[1:])
            yield "the oldest change is forgotten", world._replace(books=books), ""

    def broken(self, world: World) -> str:
        for follower in range(self.has.verifiers):
            broken = self.broken_at(world, follower)
            if broken:
                return broken
        if (
            self.alarms_count
            and "go back" not in self.has.may
            and any(state.alarms for state in world.caches)
        ):
            return "an alarm, though all is well"
        return ""

    def broken_at(self, world: World, follower: int) -> str:
        state, now = world.caches[follower], self.clock(world, follower)
        for secret in self.has.secrets:
            verdict = self.hit(state, secret, now)
            if not verdict:
                continue
            broken = self.wrong(world, secret, verdict, self.waiter(world, follower, secret))
            if broken:
                return f"{broken}, from the cache"
            if verdict != "REVOKED" and self.is_of_revoked_caller(world, follower):
                return "the verifier of a revoked caller answers from its cache"
        return ""

    def is_of_revoked_caller(self, world: World, follower: int) -> bool:
        fact = f"{self.caller(follower)} revoked"
        return all(fact in facts for facts, _ in world.versions[world.returned :])
