"""Changes, the fences that they wait at, and the janitor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from keyauthority.coherence.allowances import lengthened, shortened, withdrawn
from keyauthority.coherence.sessions import SessionBook
from keyauthority.domain.sessions import Allowance
from tests.coherence.machines import Step
from tests.coherence.model_batches import Batches
from tests.coherence.world import (
    Books,
    OpenFence,
    Process,
    World,
    book_asleep,
    wake_book,
)


class Changes(Batches):
    """Makes changes, waits for them, and ends sessions."""

    def change(self, world: World, process: int) -> Iterator[Step]:
        if world.processes[process].frozen is not None:
            return
        yield from self.begun(world, process)
        if "repeat" in self.has.may and len(world.fences) < 2:
            current = len(world.versions) - 1
            if world.returned < current:
                label, after = f"process {process} repeats the last change", world
                yield label, self.repeat(after, process, current), ""

    def repeat(self, world: World, process: int, version: int) -> World:
        now = self.process_clock(world, process)
        return self.fence(world, process, world.books.revision, version, now)

    def look(self, world: World, fence: OpenFence) -> Iterator[Step]:
        process = world.processes[fence.process]
        if process.state != "up" or process.frozen is not None:
            return
        settling = world.books.settling is not None
        counts = self.standing(
            world.book, fence.revision, self.longest(world.books), settling=settling
        )
        machine = self.fence_type(fence.committed, process.settled)
        if machine.look(counts, self.process_clock(world, fence.process)):
            yield f"change {fence.revision} returns", self.returns(world, fence), ""

    def longest(self, books: Books) -> float:
        return books.longest

    def returns(self, world: World, fence: OpenFence) -> World:
        fences = tuple(one for one in world.fences if one != fence)
        return world._replace(fences=fences, returned=max(world.returned, fence.version))

    def sweep(self, world: World, number: int) -> Iterator[Step]:
        process = world.processes[number]
        rows = self.swept(world)
        if rows or process.still:
            still, doomed = self.look_at(process, rows, self.sweep_time(world, number), self.wait)
            after = process._replace(still=still, doomed=doomed)
            if after != process:
                yield f"process {number} sweeps", self.with_process(world, number, after), ""
        for session_id, beat in process.doomed:
            book = wake_book(world.book, self.book_type)
            self.remove(book, session_id, beat)
            doomed = tuple(one for one in process.doomed if one != (session_id, beat))
            after = process._replace(doomed=doomed)
            removed = self.with_process(world, number, after)._replace(book=book_asleep(book))
            yield f"process {number} removes {session_id}", removed, ""

    def swept(self, world: World) -> list[tuple[str, int]]:
        return [(one, beat) for one, _, beat, *_ in world.book.sessions]

    def sweep_time(self, world: World, number: int) -> float:
        return self.process_clock(world, number)

    def look_at(
        self, process: Process, rows: list[tuple[str, int]], now: float, wait: float
    ) -> tuple[tuple[tuple[tuple[str, int], float], ...], tuple[tuple[str, int], ...]]:
        janitor = self.janitor_type()
        janitor._still = dict(process.still)
        doomed = janitor.look(rows, now, wait)
        return tuple(sorted(janitor._still.items())), tuple(sorted(doomed))

    def remove(self, book: SessionBook, session_id: str, beat: int) -> None:
        book.remove(session_id, beat)

    def allow(self, world: World, number: int) -> Iterator[Step]:
        """Shortens, settles and lengthens leases, whenever that may be; who was late is all one."""
        process, lease = world.processes[number], timedelta(seconds=world.books.lease)
        for one, *_, has in world.book.sessions:
            for label, after in (
                ("shortened", shortened(has, lease)),
                ("withdrawn", withdrawn(has)),
                ("lengthened", self.lengthened(has, lease)),
            ):
                # At any time: that it takes a while keeps no promise.
                if after.lease != has.lease and (has.settled or label == "withdrawn"):
                    allowed = self.with_allowance(world, one, has, after)
                    yield f"the lease of {one} is {label}", allowed, ""
        shown = [(one, has, False) for one, *_, has in world.book.sessions]
        stands, due = self.allowances_at(process, shown, self.sweep_time(world, number))
        after_look = process._replace(stands=stands, due=due)
        if after_look != process:
            yield f"process {number} reviews", self.with_process(world, number, after_look), ""
        for each in process.due:
            left = tuple(one for one in process.due if one != each)
            settled = self.with_process(world, number, process._replace(due=left))
            yield (
                f"process {number} settles {each[0]}",
                self.with_allowance(settled, *each),
                "",
            )

    def lengthened(self, has: Allowance, lease: timedelta) -> Allowance:
        return lengthened(has, lease)

    def allowances_at(
        self, process: Process, shown: list[tuple[str, Allowance, bool]], now: float
    ) -> tuple[
        tuple[tuple[tuple[str, int], float], ...], tuple[tuple[str, Allowance, Allowance], ...]
    ]:
        machine, longest = self.allowances_type(), timedelta(seconds=self.has.longest)
        machine._since = dict(process.stands)
        due = machine.look(shown, now, longest, longest)
        return tuple(sorted(machine._since.items())), tuple(due)

    def with_allowance(
        self, world: World, session_id: str, before: Allowance, after: Allowance
    ) -> World:
        book = wake_book(world.book, self.book_type)
        book.allow(session_id, before, after)
        return world._replace(book=book_asleep(book))
