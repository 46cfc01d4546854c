"""A model of escrow around the shipped machines: verifiers, one workspace, a network that may do anything.

What is sent may arrive in any order, late, twice or never. A verifier may hold, extend, void, end a
request with a cost up to beyond its hold, close its slice at any time, and die. The authority may
reduce the balance, and give a dead verifier's slices back.
"""

from __future__ import annotations

import pickle
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from keyauthority.escrow.purse import Call, Charge, Purse, SliceNumbers, joined
from keyauthority.escrow.slices import (
    Account,
    Part,
    Settled,
    Slice,
    SliceCall,
    SliceClosing,
    SliceKey,
    Word,
    charge,
    close,
    give_back,
    settle,
)


@dataclass
class Message:
    """A call of a verifier, its closings, and the charges that both count in."""

    verifier: int
    call: Call | None
    closings: list[SliceClosing]
    charges: tuple[Charge, ...]


@dataclass
class Answer:
    message: Message
    word: Word = Word.PASSED
    granted: int = 0


@dataclass
class Request:
    """A request that runs, and what the model reckons is held for it."""

    reference: str
    parts: Mapping[SliceKey, int]
    amount: int


@dataclass
class Verifier:
    purse: Purse
    running: list[Request] = field(default_factory=list)
    requests: int = 0
    dead: bool = False


@dataclass
class World:
    account: Account
    verifiers: list[Verifier]
    # By verifier and number; what is given back is gone.
    slices: dict[tuple[int, int], Slice] = field(default_factory=dict)
    # By reference, of every request that ended: its cost, and what the model reckons was held for it.
    ended: dict[str, tuple[int, int]] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    over: int = 0
    late: int = 0
    cut: int = 0
    reduced: int = 0
    short: int = 0
    events: int = 0

    def key(self) -> bytes:
        return pickle.dumps(self)


Act = Callable[[World], object]


class Model:
    """The correct protocol. A seeded bug is a subclass that overrides one thing."""

    credits = 3
    verifiers = 1
    requests = 2
    events = 1
    mail = 2
    holds: tuple[int, ...] = (1,)
    purse: type[Purse] = Purse

    def first(self) -> World:
        verifiers = [
            Verifier(self.purse(str(number), SliceNumbers())) for number in range(self.verifiers)
        ]
        return World(Account(self.credits), verifiers)

    def steps(self, state: bytes) -> Iterator[tuple[str, World]]:
        for name, act in self.actions(pickle.loads(state)):
            after = pickle.loads(state)
            act(after)
            yield name, after

    def actions(self, world: World) -> Iterator[tuple[str, Act]]:
        for number, verifier in enumerate(world.verifiers):
            if not verifier.dead:
                yield from self.verifier_acts(world, number, verifier)
        for place in range(len(world.messages)):
            yield "a message arrives", partial(self.message_arrives, place)
            if len(world.answers) < self.mail:
                again = partial(self.message_arrives, place, again=True)
                yield "a message arrives and is sent again", again
            yield "a message is lost", partial(self.message_is_lost, place)
        for place in range(len(world.answers)):
            yield "an answer arrives", partial(self.answer_arrives, place)
            yield "an answer is lost", partial(self.answer_is_lost, place)
        if world.events < self.events:
            yield "the balance is reduced", self.reduce

    def verifier_acts(
        self, world: World, number: int, verifier: Verifier
    ) -> Iterator[tuple[str, Act]]:
        free = verifier.purse.free
        amounts = [amount for amount in self.holds if amount <= free]
        if verifier.requests < self.requests:
            for amount in amounts:
                yield f"a request is held {amount} for", partial(self.take, number, amount)
        for place, request in enumerate(verifier.running):
            for amount in amounts:
                yield f"a hold is extended by {amount}", partial(self.extend, number, place, amount)
            yield "a hold is voided", partial(self.void, number, place)
            for cost in sorted({0, 1, request.amount, request.amount + 1}):
                yield f"a request ends at {cost}", partial(self.ends, number, place, cost)
        if len(world.messages) < self.mail:
            yield "a call is sent", partial(self.send, number, 0)
            if free:
                yield "a call that gives back is sent", partial(self.send, number, 1)
            yield "closings are sent", partial(self.send_closings, number)
        if world.events < self.events:
            yield "the slice is closed", partial(self.closes, number)
            yield "the verifier dies", partial(self.dies, number)

    # --- the network

    def message_arrives(self, place: int, world: World, *, again: bool = False) -> None:
        self.arrives(world, world.messages[place] if again else world.messages.pop(place))

    def message_is_lost(self, place: int, world: World) -> None:
        world.messages.pop(place)

    def answer_arrives(self, place: int, world: World) -> None:
        self.answered(world, world.answers.pop(place))

    def answer_is_lost(self, place: int, world: World) -> None:
        world.answers.pop(place)

    # --- the verifier

    def take(self, number: int, amount: int, world: World) -> None:
        verifier = world.verifiers[number]
        parts = verifier.purse.take(amount)
        assert parts is not None
        verifier.requests += 1
        verifier.running.append(Request(f"{number}-{verifier.requests}", parts, amount))

    def extend(self, number: int, place: int, amount: int, world: World) -> None:
        verifier = world.verifiers[number]
        request = verifier.running[place]
        more = verifier.purse.take(amount)
        assert more is not None
        request.parts = joined(request.parts, more)
        request.amount += amount

    def void(self, number: int, place: int, world: World) -> None:
        verifier = world.verifiers[number]
        verifier.purse.void(verifier.running.pop(place).parts)

    def ends(self, number: int, place: int, cost: int, world: World) -> None:
        verifier = world.verifiers[number]
        request = verifier.running.pop(place)
        world.ended[request.reference] = cost, request.amount
        verifier.purse.charge([Charge(request.reference, cost, request.parts)])

    def closes(self, number: int, world: World) -> None:
        world.events += 1
        world.verifiers[number].purse.close()

    def send(self, number: int, release: int, world: World) -> None:
        purse = world.verifiers[number].purse
        call = purse.call(2, 1, release=release)
        charges = tuple(purse.charges)
        world.messages.append(Message(number, call, purse.closings(charges), charges))

    def send_closings(self, number: int, world: World) -> None:
        purse = world.verifiers[number].purse
        charges = tuple(purse.charges)
        closings = purse.closings(charges)
        if closings or charges:
            world.messages.append(Message(number, None, closings, charges))

    def answered(self, world: World, answer: Answer) -> None:
        verifier = world.verifiers[answer.message.verifier]
        if verifier.dead:
            return
        verifier.purse.confirmed([one.reference for one in answer.message.charges])
        for closing in answer.message.closings:
            verifier.purse.closed(closing)
        if answer.message.call is not None:
            verifier.purse.answered(answer.message.call, answer.word, answer.granted)

    # --- the authority

    def arrives(self, world: World, message: Message) -> None:
        mine = message.verifier
        dead = world.verifiers[mine].dead
        answer = Answer(message)
        self.charges(world, mine, message)
        for closing in message.closings:
            self.close(world, mine, closing, dead=dead)
        if message.call is not None and not dead:
            self.settles(world, mine, message.call, answer)
        world.answers = [*world.answers, answer][-self.mail :]

    def charges(self, world: World, mine: int, message: Message) -> None:
        for one in message.charges:
            self.enter(world, mine, one)

    def settles(self, world: World, mine: int, call: Call, answer: Answer) -> None:
        latest = self.latest(world, mine)
        settled = self.settle(world.account, latest, call.request)
        world.account = settled.account
        for slice_ in settled.slices:
            world.slices[mine, slice_.number] = slice_
        answer.word, answer.granted = settled.word, settled.granted

    def settle(self, account: Account, latest: Slice | None, call: SliceCall) -> Settled:
        return settle(account, latest, call, self.verifiers)

    def enter(self, world: World, mine: int, one: Charge) -> None:
        if one.reference in world.entered:
            return
        world.entered[one.reference] = one.cost
        parts = [
            Part(key, world.slices.get((mine, key[1])), held) for key, held in one.parts.items()
        ]
        charged = charge(world.account, one.cost, parts)
        world.account = charged.account
        for slice_ in charged.slices.values():
            world.slices[mine, slice_.number] = slice_
        world.over += charged.over
        world.late += charged.late
        world.short += charged.short

    def close(self, world: World, mine: int, closing: SliceClosing, *, dead: bool) -> None:
        there = world.slices.get((mine, closing.number))
        latest = self.latest(world, mine)
        if there is None and (dead or (latest and closing.number < latest.number)):
            return
        world.account, slice_ = close(world.account, there or Slice(closing.number), closing.keep)
        world.slices[mine, closing.number] = slice_

    def latest(self, world: World, mine: int) -> Slice | None:
        numbers = [number for owner, number in world.slices if owner == mine]
        return world.slices[mine, max(numbers)] if numbers else None

    def dies(self, number: int, world: World) -> None:
        """Its slices are given back; its spool, and what is under way, may still bring charges."""
        world.events += 1
        verifier = world.verifiers[number]
        verifier.dead = True
        # Whoever adopts the spool charges what was caught as held.
        spool = list(verifier.purse.charges)
        for request in verifier.running:
            held = request.amount
            world.ended[request.reference] = held, held
            spool.append(Charge(request.reference, held, request.parts))
        for owner, n in [key for key in world.slices if key[0] == number]:
            world.account, _ = give_back(world.account, world.slices.pop((owner, n)))
        world.messages = [Message(number, None, [], tuple(spool)), *world.messages][: self.mail]

    def reduce(self, world: World) -> None:
        world.events += 1
        before = world.account.available
        world.account = Account(world.account.balance - 2, world.account.escrowed)
        world.reduced += 2
        world.cut += 2 - min(2, max(0, before))

    # --- the promises

    def wrong(self, world: World) -> str:
        """Which promise is broken; empty if none is."""
        account, amounts = world.account, [one.amount for one in world.slices.values()]
        beyond = world.over + world.late + world.cut
        entered = [world.ended[reference] for reference in world.entered]
        spent = sum(cost for cost, _ in entered)
        promises = {
            "the balance is not what the entries say": account.balance
            == self.credits - spent - world.reduced,
            "what went beyond the holds is reckoned wrong": world.over
            == sum(max(0, cost - held) for cost, held in entered),
            "a charge was late though nobody died": not world.late
            or any(verifier.dead for verifier in world.verifiers),
            "escrowed is not the sum of the slices": account.escrowed == sum(amounts),
            "a slice lacked what was held in it": not world.short,
            "a slice is below zero": min(amounts, default=0) >= 0,
            "the balance is below its bound": account.balance >= -beyond,
            "more is set apart than there is": account.available >= -beyond,
        }
        broken = [promise for promise, kept in promises.items() if not kept]
        for number, verifier in enumerate(world.verifiers):
            if not verifier.dead:
                broken.append(self.uncovered(world, number, verifier))
        if not world.messages and not world.answers:
            broken.append(self.lost(world))
        return next(filter(None, broken), "")

    def lost(self, world: World) -> str:
        """Nothing is under way: a verifier that has nothing to tell knows of every credit in its slices."""
        for number, verifier in enumerate(world.verifiers):
            purse = verifier.purse
            if verifier.dead or purse.charges or purse.closings() or purse._call:
                continue
            there = sum(one.amount for key, one in world.slices.items() if key[0] == number)
            if there != purse.free + sum(request.amount for request in verifier.running):
                return "credits are set apart for nobody"
        return ""

    def uncovered(self, world: World, number: int, verifier: Verifier) -> str:
        held: dict[int, int] = {}
        for request in verifier.running:
            for (_, n), amount in request.parts.items():
                held[n] = held.get(n, 0) + amount
        for one in verifier.purse.charges:
            if one.reference not in world.entered:
                for (_, n), amount in one.taken().items():
                    held[n] = held.get(n, 0) + amount
        for n, amount in held.items():
            slice_ = world.slices.get((number, n))
            if amount > (slice_.amount if slice_ else 0):
                return "a hold is not covered by its slice"
        return ""


@dataclass
class Search:
    """How many states were seen, which promise was broken, if any, and the steps to the last state."""

    explored: int
    wrong: str
    path: list[str]


def search(model: Model, most: int) -> Search:
    """Explores breadth first, up to *most* states or the first that breaks a promise."""
    first = model.first()
    # Each state by the one it was reached from, so that a path is told only when it is wanted.
    reached: dict[bytes, tuple[bytes, str]] = {first.key(): (b"", "")}
    queue = deque(reached)
    while queue and len(reached) < most:
        state = queue.popleft()
        for name, after in model.steps(state):
            key = after.key()
            if key in reached:
                continue
            reached[key] = (state, name)
            if wrong := model.wrong(after):
                return Search(len(reached), wrong, path_to(key, reached))
            queue.append(key)
    return Search(len(reached), "", path_to(state, reached))


def path_to(state: bytes, reached: dict[bytes, tuple[bytes, str]]) -> list[str]:
    """The steps that lead to *state*."""
    steps = []
    while reached[state][1]:
        state, name = reached[state]
        steps.append(name)
    return steps[::-1]


_WEIGHTS = {
    "a message is lost": 0.3,
    "an answer is lost": 0.3,
    "the balance is reduced": 0.1,
    "the slice is closed": 0.3,
    "the verifier dies": 0.02,
    "a hold is voided": 0.3,
    "a message arrives": 2.0,
    "an answer arrives": 2.0,
}


def walk(model: Model, walks: int, steps: int = 70) -> Search:
    """Walks at random, by fixed seeds, far beyond what `search` reaches; to the first broken promise."""
    model.credits, model.requests, model.events, model.holds = 9, 12, 3, (1, 2)
    explored, path = 0, list[str]()
    for seed in range(walks):
        dice, world, path = random.Random(seed), model.first(), []
        for _ in range(steps):
            acts = list(model.actions(world))
            if not acts:
                break
            weights = [_WEIGHTS.get(name, 1.0) for name, _ in acts]
            [(name, act)] = dice.choices(acts, weights)
            act(world)
            explored += 1
            path.append(name)
            if wrong := model.wrong(world):
                return Search(explored, wrong, path)
    return Search(explored, "", path)
