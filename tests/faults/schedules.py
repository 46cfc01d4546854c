"""Schedules made for one kind of bug each: what happens in which order, where chance seldom leads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.faults.installation import Installation, Node

SENT = 0.05
"""Seconds after which the questions of a burst are on their way."""

WARM = 0.4
"""Seconds after which all verifiers have been asked about a new key."""


@contextmanager
def frozen(gateways: Sequence[Node]) -> Iterator[None]:
    """They stand still."""
    for gateway in gateways:
        gateway.freeze()
    try:
        yield
    finally:
        for gateway in gateways:
            gateway.thaw()


async def revoked_while_frozen(made: Installation) -> None:
    """A key is revoked while gateways that know it are frozen; asked right as they wake."""
    key = await _warm(made)
    with frozen(made.gateways):
        await _revoke_and_ask(made, key)
    await asyncio.sleep(WARM)


async def woken_by_an_old_reply(made: Installation) -> None:
    """The same, but a reply from before the revocation lies waiting for them."""
    key = await _warm(made)
    with frozen(made.gateways):
        await asyncio.sleep(0.4 * made.lease)
        await _revoke_and_ask(made, key)
    await asyncio.sleep(WARM)


async def frozen_without_a_session(made: Installation) -> None:
    """Frozen the moment their session is ended, if it ever is while they live."""
    key = await _warm(made)
    for _ in range(250):
        if lost := await _without_a_session(made):
            break
        await asyncio.sleep(0.005)
    with frozen(lost or made.gateways):
        await _revoke_and_ask(made, key)
    await asyncio.sleep(WARM)


async def overtaken_verdict(made: Installation) -> None:
    """A key is revoked while verdicts that were read before are on their way."""
    key = await made.command("issue")
    await asyncio.sleep(SENT)
    await made.command("revoke", key=key["key"])
    for _ in range(5):
        await asyncio.sleep(0.1)
        made.burst(key["secret"])
    await asyncio.sleep(WARM)


async def overlooked_join(made: Installation) -> None:
    """A key is revoked while a gateway that knows it, and was given up, joins again.

    For leases and joins that take long: see `slow_joins`.
    """
    key = await _warm(made, quiet=True)
    gateway = made.gateways[0]
    with frozen([gateway]):
        for _ in range(500):
            if gateway in await _without_a_session(made):
                break
            await asyncio.sleep(0.01)
    # By now it is on the way to its join, and asks nobody about the key.
    await asyncio.sleep(0.3)
    await made.command("revoke", key=key["key"])
    for _ in range(8):
        await asyncio.sleep(0.1)
        made.burst(int(str(key["secret"])))
    await asyncio.sleep(WARM)


async def primary_that_hangs(made: Installation, within: float) -> None:
    """The first server is frozen and the standby promoted; *within* seconds changes go on by it."""
    assert made.database is not None
    assert made.standby is not None
    made.database.freeze()
    await asyncio.to_thread(made.standby.promote)
    await _changes_go_on(made, within)


async def old_primary_beside_the_new(made: Installation, within: float) -> None:
    """The standby is promoted while the first server runs on; then keys and callers are made."""
    assert made.standby is not None
    await _warm(made)
    await asyncio.to_thread(made.standby.promote)
    await _changes_go_on(made, within)
    for _ in range(6):
        key = await made.command("issue")
        await made.command("introduce", key=key["key"])
        await made.command("revoke", key=key["key"])


async def _changes_go_on(made: Installation, within: float) -> None:
    async with asyncio.timeout(within):
        await made.command("issue")


async def _warm(made: Installation, *, quiet: bool = False) -> dict[str, object]:
    key = await made.command("issue", quiet=quiet)
    await asyncio.sleep(SENT)
    made.burst(key["secret"])
    await asyncio.sleep(WARM)
    return key


async def _revoke_and_ask(made: Installation, key: dict[str, object]) -> None:
    await made.command("revoke", key=key["key"])
    made.burst(int(str(key["secret"])))
    await asyncio.sleep(SENT)


async def _without_a_session(made: Installation) -> list[Node]:
    names = (await made.command("sessions"))["names"]
    with_one = {name.rpartition(":")[2] for name in names}
    return [node for node in made.gateways if str(node.process.pid) not in with_one]
