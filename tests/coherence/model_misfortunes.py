"""Crashes, stops, restores from backup and failovers."""

from __future__ import annotations

from collections.abc import Iterator

from tests.coherence.machines import FAST, FIRST_REVISION, Step
from tests.coherence.model_verifiers import Verifiers
from tests.coherence.world import (
    NEVER,
    Books,
    BookState,
    CacheState,
    Committed,
    Committing,
    Process,
    Reading,
    Recording,
    SyncAnswered,
    SyncSent,
    World,
    book_asleep,
    wake_book,
)


class Misfortunes(Verifiers):
    """What befalls processes and their database."""

    def suffer(self, world: World, number: int) -> Iterator[Step]:
        process, may = world.processes[number], self.has.may
        if process.state == "down":
            yield self.start(world, number)
            return
        if process.state == "closing":
            yield self.end(world, number)
        if not world.misfortunes:
            return
        less = world._replace(misfortunes=world.misfortunes - 1)
        if "crash" in may:
            yield f"process {number} crashes", self.down(less, number), ""
        if "stop" in may and process.state == "up" and not self.busy(world, number):
            closing = self.with_process(less, number, process._replace(state="closing"))
            yield f"process {number} grants nothing more", closing, ""
        if "restore" in may:
            yield self.restore(less)
        if "go back" in may:
            yield self.go_back(less)
        if "failover" in may and number == 1 and process.frozen is None:
            frozen = process._replace(frozen=world.books)
            yield "the database fails over", self.with_process(less, number, frozen), ""

    def busy(self, world: World, number: int) -> bool:
        return any(one.process == number for one in world.fences) or any(
            type(one) in (Committing, Committed, Recording) for one in world.net
        )

    def down(self, world: World, number: int) -> World:
        own = self.has.verifiers + number
        world = world._replace(
            fences=tuple(one for one in world.fences if one.process != number),
            net=frozenset(
                one
                for one in world.net
                if not (
                    (isinstance(one, Reading | Committing | Committed) and one.process == number)
                    or (isinstance(one, Recording) and not self.has.rows)
                    or (isinstance(one, SyncSent | SyncAnswered) and one.follower == own)
                )
            ),
        )
        if not self.has.rows:
            world = world._replace(book=BookState())
        world = self.with_cache(world, own, CacheState(syncs=world.caches[own].syncs))
        return self.with_process(world, number, Process(state="down"))

    def start(self, world: World, number: int) -> Step:
        settled = NEVER
        if not (self.has.rows or world.books.clean_stop):
            settled = self.settled_at_start(self.process_clock(world, number))
        world = world._replace(books=self.marker_taken(world.books))
        up = self.with_process(world, number, Process(settled=settled))
        return f"process {number} starts", up, ""

    def settled_at_start(self, now: float) -> float:
        return now + self.wait

    def marker_taken(self, books: Books) -> Books:
        return books._replace(clean_stop=False)

    def end(self, world: World, number: int) -> Step:
        process, now = world.processes[number], self.process_clock(world, number)
        clean = self.may_mark(world, process, now)
        world = self.down(world, number)
        if clean:
            world = world._replace(books=world.books._replace(clean_stop=True))
        return f"process {number} ends{', cleanly' if clean else ''}", world, ""

    def may_mark(self, world: World, process: Process, now: float) -> bool:
        return now >= process.settled and not world.book.sessions and world.books.settling is None

    def restore(self, world: World) -> Step:
        """The books become those of the beginning, under a new epoch."""
        backup = self.fresh_world().books._replace(revision=FIRST_REVISION)
        lease = self.has.lease_in_backup or backup.lease
        books = backup._replace(
            epoch=self.next_epoch(world, backup),
            settling=world.tick,
            lease=lease,
            longest=self.longest_restored(world, lease),
        )
        world = world._replace(
            books=self.restored(books, world),
            book=self.book_restored(world.book),
            fences=(),
            net=frozenset(
                one for one in world.net if type(one) not in (Committing, Committed, Recording)
            ),
            versions=(*world.versions, (books.facts, world.tick)),
        )
        return "a backup is restored", world, ""

    def go_back(self, world: World) -> Step:
        """The books become those of the beginning, and nobody says so: the epoch stays."""
        books = self.fresh_world().books._replace(epoch=world.books.epoch)
        world = world._replace(
            books=books, fences=(), versions=(*world.versions, (books.facts, world.tick))
        )
        return "the books go back", world, ""

    def longest_restored(self, world: World, lease: float) -> float:
        return max(world.books.longest, lease)

    def next_epoch(self, world: World, backup: Books) -> int:
        return world.books.epoch + 1

    def restored(self, books: Books, world: World) -> Books:
        return books

    def book_restored(self, book: BookState) -> BookState:
        machine = wake_book(book, self.book_type)
        machine.clear()
        return book_asleep(machine)

    def has_settled(self, world: World, since: int) -> bool:
        return (world.tick - since) * FAST >= self.wait_out(world.books.longest)
