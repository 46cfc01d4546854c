"""Seeded bugs of renewals, which go together, and of requests that are held after theirs."""

from __future__ import annotations

from keyauthority.domain.sessions import WHOLE
from tests.coherence import scenarios
from tests.coherence.machines import Step
from tests.coherence.seeded.seeding import Bug, breaks
from tests.coherence.world import (
    Recording,
    SyncAnswered,
    SyncSent,
    World,
    book_asleep,
    wake_book,
)


@breaks(
    "a renewal is answered only if it finds its session, after its head was read",
    scenarios.RENEWING,
)
class RenewAfterReading(Bug):
    """A batch of renewals whose heads were read before the sessions were stored."""

    def begin_grant(self, world: World, message: SyncSent) -> tuple[World, Recording | str]:
        session_id, caller = message.call.session_id, self.caller(message.follower)
        if session_id not in wake_book(world.book, self.book_type):
            return super().begin_grant(world, message)
        grant = self.granted(world.books, session_id, caller, message.call.claim, WHOLE)
        return world, Recording(message.follower, message.call, session_id, grant)

    def record(self, world: World, message: Recording) -> Step:
        if message.grant is None:
            return super().record(world, message)
        book = wake_book(world.book, self.book_type)
        book.beat(message.session_id, self.caller(message.follower))
        book.acknowledge(message.session_id, self.credit(message.call, message.grant.head))
        world = self.arrived(world, message)._replace(book=book_asleep(book))
        answered = SyncAnswered(message.follower, message.call, message.grant, "")
        return "a renewal is granted", self.sent(world, answered), ""


@breaks("a renewal is answered only once its batch is committed", scenarios.JANITOR)
class RenewalsLost(Bug):
    """An acknowledgement that is answered, and a beat that is answered, which the batch lost."""

    def begin_grant(self, world: World, message: SyncSent) -> tuple[World, Recording | str]:
        after, begun = super().begin_grant(world, message)
        return (after._replace(book=world.book) if message.call.session_id else after), begun

    def record(self, world: World, message: Recording) -> Step:
        label, after, broken = super().record(world, message)
        return label, after._replace(book=world.book) if message.call.session_id else after, broken


@breaks("a held Sync is credited with its claim, not with what it is answered", scenarios.HELD)
class HeldCredited(Bug):
    def grant_again(self, world: World, message: SyncSent) -> World | None:
        after = super().grant_again(world, message)
        if after is None:
            return None
        book = wake_book(after.book, self.book_type)
        book.acknowledge(message.call.session_id, world.books.revision)
        return after._replace(book=book_asleep(book))
