"""What goes wrong: each fault lasts for a while and is healed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

from tests.faults.database import Database
from tests.faults.installation import Installation, Node
from tests.faults.network import Host

Fault: TypeAlias = Callable[[Installation, random.Random], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def lost(links: Sequence[tuple[Host, Host]]) -> AsyncIterator[None]:
    """Nothing gets from the first to the second of each link."""
    for sender, receiver in links:
        sender.lose(receiver)
    try:
        yield
    finally:
        for sender, receiver in links:
            sender.find(receiver)


@asynccontextmanager
async def frozen(node: Node) -> AsyncIterator[None]:
    node.freeze()
    try:
        yield
    finally:
        node.thaw()


@asynccontextmanager
async def frozen_database(made: Installation, _: random.Random) -> AsyncIterator[None]:
    _database(made).freeze()
    try:
        yield
    finally:
        _database(made).thaw()


@asynccontextmanager
async def stopped_database(made: Installation, _: random.Random) -> AsyncIterator[None]:
    await asyncio.to_thread(_database(made).stop_at_once)
    try:
        yield
    finally:
        await asyncio.to_thread(_database(made).start)


@asynccontextmanager
async def ended_listening(made: Installation, _: random.Random) -> AsyncIterator[None]:
    assert await asyncio.to_thread(_database(made).end_listening) > 0
    yield


@asynccontextmanager
async def killed(node: Node) -> AsyncIterator[None]:
    node.kill()
    try:
        yield
    finally:
        await node.restart()


def cut_gateway(made: Installation, chance: random.Random) -> AbstractAsyncContextManager[None]:
    there, back = _gateway_links(made, chance)
    return lost(there + back)


def mute_gateway(made: Installation, chance: random.Random) -> AbstractAsyncContextManager[None]:
    return lost(_gateway_links(made, chance)[0])


def deaf_gateway(made: Installation, chance: random.Random) -> AbstractAsyncContextManager[None]:
    return lost(_gateway_links(made, chance)[1])


def freeze_gateway(made: Installation, chance: random.Random) -> AbstractAsyncContextManager[None]:
    return frozen(chance.choice(made.gateways))


def kill_gateway(made: Installation, chance: random.Random) -> AbstractAsyncContextManager[None]:
    return killed(chance.choice(made.gateways))


def freeze_authority(
    made: Installation, chance: random.Random
) -> AbstractAsyncContextManager[None]:
    return frozen(chance.choice(made.authorities))


def kill_authority(made: Installation, chance: random.Random) -> AbstractAsyncContextManager[None]:
    return killed(chance.choice(made.authorities))


def cut_replica(made: Installation, chance: random.Random) -> AbstractAsyncContextManager[None]:
    there, back = _database_links(made, chance)
    return lost(there + back)


def mute_replica(made: Installation, chance: random.Random) -> AbstractAsyncContextManager[None]:
    return lost(_database_links(made, chance)[0])


def deaf_replica(made: Installation, chance: random.Random) -> AbstractAsyncContextManager[None]:
    return lost(_database_links(made, chance)[1])


def _database(made: Installation) -> Database:
    assert made.database is not None
    return made.database


def _database_links(
    made: Installation, chance: random.Random
) -> tuple[list[tuple[Host, Host]], list[tuple[Host, Host]]]:
    authority, database = chance.choice(made.authorities).host, _database(made).host
    return [(authority, database)], [(database, authority)]


def _gateway_links(
    made: Installation, chance: random.Random
) -> tuple[list[tuple[Host, Host]], list[tuple[Host, Host]]]:
    gateway = chance.choice(made.gateways).host
    there = [(gateway, authority.host) for authority in made.authorities]
    return there, [(authority, gateway) for gateway, authority in there]


ANYWHERE: tuple[Fault, ...] = (
    cut_gateway,
    mute_gateway,
    deaf_gateway,
    freeze_gateway,
    kill_gateway,
    freeze_authority,
    kill_authority,
)
"""The faults of any installation."""

WITH_DATABASE: tuple[Fault, ...] = (
    *ANYWHERE,
    cut_replica,
    mute_replica,
    deaf_replica,
    frozen_database,
    stopped_database,
    ended_listening,
)
"""The faults of one with several authorities and a database on a host of its own."""


def drawn(kinds: Sequence[Fault], number: int, chance: random.Random) -> Iterator[Fault]:
    """*number* of them in a random order, each as often as the others or once more."""
    deck: list[Fault] = []
    for _ in range(number):
        deck = deck or chance.sample(kinds, len(kinds))
        yield deck.pop()


async def go_wrong(
    made: Installation, faults: Iterator[Fault], chance: random.Random
) -> Counter[str]:
    """One fault after the other, each for 0.2 to 3 leases, with some peace after it; how often each."""
    happened: Counter[str] = Counter()
    for fault in faults:
        async with fault(made, chance):
            await asyncio.sleep(chance.uniform(0.2, 3.0) * made.lease)
        happened[fault.__name__] += 1
        await asyncio.sleep(chance.uniform(0.1, 2.0) * made.lease)
    return happened
