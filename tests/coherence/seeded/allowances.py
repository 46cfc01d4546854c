"""Seeded bugs of how long a lease a session may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from keyauthority.coherence.allowances import Allowances
from keyauthority.coherence.sessions import SessionBook
from keyauthority.domain.sessions import WHOLE, Allowance, Claim, Grant
from tests.coherence import scenarios
from tests.coherence.grant_rows import GrantRow
from tests.coherence.machines import Step
from tests.coherence.seeded.seeding import Bug, breaks
from tests.coherence.world import (
    Recording,
    SyncAnswered,
    SyncSent,
    World,
    wake_book,
)


@breaks("the fence waits for what may be in force, not for what is granted next", scenarios.ALLOWED)
class WaitsForGranted(Bug):
    class book_type(SessionBook):  # noqa: N801
        def standing(self) -> Counter[tuple[int, timedelta | None]]:
            return Counter((entry.acknowledged, entry.allowance.lease) for _, entry in self)


class _SettlesHastily(Allowances):
    def look(
        self,
        sessions: Iterable[tuple[str, Allowance, bool]],
        now: float,
        lease: timedelta,
        longest_lease: timedelta,
    ) -> list[tuple[str, Allowance, Allowance]]:
        return super().look(sessions, now, lease, lease / 2)


@breaks("what may be in force falls only after W of it", scenarios.ALLOWED)
class SettlesAllowanceHastily(Bug):
    allowances_type = _SettlesHastily


@breaks("an allowance is settled only if it is still the one that stood for W", scenarios.REVIEWED)
class SettlesAny(Bug):
    def with_allowance(
        self, world: World, session_id: str, before: Allowance, after: Allowance
    ) -> World:
        if before.lease == after.lease:
            before = wake_book(world.book, self.book_type).allowance(session_id)
            after = replace(before, in_force=after.in_force)
        return super().with_allowance(world, session_id, before, after)


@breaks("a session that is granted no lease gets none", scenarios.LENGTHENED)
class GrantedAll(Bug):
    def grant(
        self,
        rows: list[GrantRow],
        session_id: str,
        caller: str,
        claim: Claim,
        allowance: Allowance,
    ) -> Grant:
        return super().grant(rows, session_id, caller, claim, WHOLE)


@breaks("a longer lease is in the books before it is granted", scenarios.LENGTHENED)
class LengthensGrantedAlone(Bug):
    def lengthened(self, has: Allowance, lease: timedelta) -> Allowance:
        return replace(super().lengthened(has, lease), in_force=has.in_force)


@breaks("a lease is granted by the allowance from before its head was read", scenarios.LENGTHENED)
class AllowanceAfterReading(Bug):
    def begin_grant(self, world: World, message: SyncSent) -> tuple[World, Recording | str]:
        world, begun = super().begin_grant(world, message)
        if isinstance(begun, str):
            return world, begun
        caller = self.caller(message.follower)
        grant = self.granted(world.books, begun.session_id, caller, message.call.claim, WHOLE)
        return world, begun._replace(grant=grant)

    def record(self, world: World, message: Recording) -> Step:
        read = message.grant
        label, after, broken = super().record(world, message._replace(grant=None))
        allowance = wake_book(world.book, self.book_type).allowance(message.session_id)
        net = set()
        for one in after.net:
            if type(one) is SyncAnswered and one.call is message.call and one.grant is not None:
                assert read is not None
                lease = allowance.granted(timedelta(seconds=world.books.lease))
                one = one._replace(grant=replace(read, lease=lease))  # noqa: PLW2901
            net.add(one)
        return label, after._replace(net=frozenset(net) - {message}), broken
