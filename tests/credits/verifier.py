"""The shipped `Spender` in a process that can be killed, over a simulated session and network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from keyauthority.client.spending import spender as spender_module
from keyauthority.client.spending.calling import CallFailed
from keyauthority.client.spending.counters import Counters
from keyauthority.client.spending.holding import Spending
from keyauthority.client.spending.messages import Encoded
from keyauthority.client.spending.pace import Pace
from keyauthority.client.spending.spender import Spender
from keyauthority.client.verifier import Verifier
from keyauthority.coherence.cache import CoherentCache
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.escrow.purse import SliceNumbers
from keyauthority.escrow.slices import SliceKey
from keyauthority.v1 import spending_service_pb2 as pb
from tests.credits.authority import WORKSPACE, Authority, Slices
from tests.credits.disk import Disk, ModelSpool
from tests.credits.virtual import Lost, Network, Process, now


class SimulatedVerifier:
    """As much of a `Verifier` as a spender needs: a session, its lease, and changes."""

    caches = True

    def __init__(self, authority: Authority, network: Network) -> None:
        self.listeners: list[Any] = []
        self.spends = False
        self.slice_numbers = SliceNumbers()
        self.authority = authority
        self.network = network
        self.deaf_until = 0.0
        """Until then no Sync gets through, while other calls do."""
        self._cache: CoherentCache[Any] = CoherentCache(1)

    @property
    def lease_held(self) -> bool:
        return self._cache.holds_lease(now())

    @property
    def session_id(self) -> str:
        return self._cache.session_id

    @property
    def epoch(self) -> int:
        return self._cache.epoch

    @property
    def connection(self) -> SimulatedVerifier:
        return self

    async def follow(self) -> None:
        """Follows the changes, as `Following` does."""
        while True:
            call, wait = self._cache.begin_sync(now()), 0.7
            try:
                if now() < self.deaf_until:
                    await asyncio.sleep(0.3)
                    continue
                grant = await self.network.call(
                    lambda: self.authority.sync(call.session_id, call.claim, wait),  # noqa: B023
                    1.0,
                )
            except Lost:
                continue
            except KeyAuthorityError:
                self._cache.session_gone(call)
                await asyncio.sleep(0.05)
                continue
            everything = grant.subjects is None or grant.head.epoch != call.claim.epoch
            subjects = None if everything else frozenset(grant.subjects)
            alarms, lease = self._cache.alarms, grant.lease.total_seconds()
            taken = self._cache.apply(call, grant.session_id, grant.head, subjects, lease)
            if (taken and subjects != frozenset()) or self._cache.alarms > alarms:
                for listener in self.listeners:
                    listener(subjects if taken else None)
            await asyncio.sleep(0.0 if subjects != frozenset() else 0.02)

    async def leave_session(self) -> None:
        """The authority ends the session, as after a long silence: it does not know that it leads on."""
        if self.session_id and not self.lease_held:
            await self.authority.store.sessions.leave(self.session_id, "caller_1")

    async def leave(self) -> None:
        session_id, sessions = self._cache.leave(), self.authority.store.sessions
        if session_id:
            await sessions.leave(session_id, "caller_1")


class SimulatedCalling:
    """`Calling` by a simulated network."""

    def __init__(self, verifier: SimulatedVerifier, timeout: float, counters: Counters) -> None:
        self._verifier = verifier
        self._timeout = timeout

    async def settle(self, request: Encoded) -> pb.SettleResponse:
        authority = self._verifier.authority
        try:
            reply: pb.SettleResponse = await self._verifier.network.call(
                lambda: authority.settle(pb.SettleRequest.FromString(request.content)),
                self._timeout,
            )
        except Lost:
            raise CallFailed("DEADLINE_EXCEEDED") from None
        return reply


class _NoPrices:
    def __init__(self, *_: object) -> None:
        pass

    async def run(self) -> None:
        pass

    def drop(self) -> None:
        pass


@contextmanager
def simulated() -> Iterator[None]:
    """Spenders have virtual clocks, a `Disk` for a folder, and a `Network`."""
    parts = {
        "boottime": now,
        "Spool": lambda disk, **_: ModelSpool(cast(Disk, disk)),
        "Calling": SimulatedCalling,
        "Prices": _NoPrices,
    }
    with ExitStack() as stack:
        for name, part in parts.items():
            stack.enter_context(patch.object(spender_module, name, part))
        yield


class Node:
    """One process: a verifier and its spender."""

    def __init__(self, authority: Authority, disk: Disk, network: Network) -> None:
        self.process = Process()
        self.network = network
        self.running: set[Spending] = set()
        """What requests that have not ended hold."""
        self.verifier = SimulatedVerifier(authority, network)
        self.spender = Spender(
            cast(Verifier, self.verifier), cast(Path, disk), pace=Pace(retries=2.0)
        )
        self._disk = disk

    async def begin(self) -> None:
        _ = self.process.spawn(self.verifier.follow())
        await self.process.spawn(self.spender.__aenter__())

    async def stop(self) -> None:
        """Leaves as a process that was asked to."""
        await self.process.spawn(self.spender.__aexit__())
        await self.verifier.leave()
        self.process.kill()

    def kill(self, *, power_cut: bool) -> None:
        for one in self.running:
            one.ended = True  # nobody is left to whom it could matter that it is dropped
        self.process.kill()
        spool = cast(ModelSpool, self.spender._spool)
        spool.locked = False
        if power_cut:
            self._disk.power_cut(spool)

    def uncovered(
        self, slices: Slices, entered: Mapping[str, int], void: AbstractSet[SliceKey]
    ) -> bool:
        """Whether more is held or free than stands in *slices* that are not void."""
        workspace = self.spender._accounts.find(WORKSPACE)
        if workspace is None:
            return False
        for session, purse in workspace._purses.items():
            held = dict(purse._held)
            held[purse.number] = held.get(purse.number, 0) + purse.free
            for name, charge in purse._charges.items():
                if name in entered:
                    for (of, number), amount in charge.taken().items():
                        held[number] = held.get(number, 0) - amount * (of == session)
            for number, amount in held.items():
                key = session, number
                if amount > slices.get(key, 0) and key not in void:
                    return True
        return False
