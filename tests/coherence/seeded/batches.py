"""Seeded bugs of changes that are committed together."""

from __future__ import annotations

from tests.coherence import scenarios
from tests.coherence.machines import FIRST_REVISION, Step
from tests.coherence.seeded.seeding import Bug, breaks, spares
from tests.coherence.world import Books, Committed, Committing, Recording, World

Changes = tuple[str, ...]
Made = tuple[tuple[int, int], ...]


@breaks("a receipt comes after the batch's commit", scenarios.WORKS_RUN)
class ReceiptBeforeCommit(Bug):
    """The changes wait at their fences once their works have run; the books have them later."""

    def begin(self, world: World, process: int, changes: Changes, began: float) -> Step:
        _, made, _ = super().commit(world, process, changes, began)
        [heard] = [one for one in made.net - world.net if type(one) is Committed]
        ahead = self.answered(made, process, heard.made, began)
        committing = Committing(process, changes, began)
        label = f"process {process} runs {', '.join(changes)}"
        return label, self.sent(ahead._replace(books=world.books, net=world.net), committing), ""

    def commit(self, world: World, process: int, changes: Changes, began: float) -> Step:
        label, after, broken = super().commit(world, process, changes, began)
        return label, after._replace(versions=world.versions, net=world.net), broken


@breaks("each fence of a batch counts from after the commit", scenarios.TOGETHER)
class OneFenceBeforeCommit(Bug):
    """The first one's counts from when the batch began."""

    def answered(self, world: World, process: int, made: Made, began: float) -> World:
        world = super().answered(world, process, made[1:], began)
        return self.fence(world, process, *made[0], began)


@breaks("no grant names a revision before its commit", scenarios.TOGETHER)
class GrantsAnnounced(Bug):
    """The batch's last revision is announced when it is numbered, and granted as the head."""

    def record(self, world: World, message: Recording) -> Step:
        books = world.books
        under_way = [one for one in world.net if type(one) is Committing]
        ahead = sum(change[0] in "+-" for one in under_way for change in one.changes)
        announced = world._replace(books=books._replace(revision=books.revision + ahead))
        label, after, broken = super().record(announced, message)
        return label, after._replace(books=books), broken


@breaks("what finds nothing to change waits for its whole batch", scenarios.UNANSWERED)
class NothingAtOnce(Bug):
    """It waits for the head from before the batch, though a change of the batch is what it repeats."""

    def last(self, books: Books, before: int) -> int:
        return before


@breaks("a revision that was rolled back is not granted: it is given again", scenarios.ROLLED_BACK)
class GivenAgain(Bug):
    """The head keeps the revision of a savepoint that was rolled back; the next change has it too."""

    def rolled_back(self, books: Books, change: str) -> Books:
        return books._replace(revision=books.revision + 1)

    def changed(self, books: Books, change: str) -> Books:
        last = books.changes[-1][0] if books.changes else FIRST_REVISION
        after = super().changed(books._replace(revision=last), change)
        return after._replace(revision=max(after.revision, books.revision))


@spares("a change that is rolled back leaves no gap: a gap hides no change", scenarios.ROLLED_BACK)
class LeavesGap(Bug):
    def rolled_back(self, books: Books, change: str) -> Books:
        return books._replace(revision=books.revision + 1)


@spares(
    "a change that is rolled back leaves no row: what is dropped is asked again",
    scenarios.ROLLED_BACK,
)
class LeavesRow(Bug):
    def rolled_back(self, books: Books, change: str) -> Books:
        return super().changed(books, f"+{change[1:]}")._replace(facts=books.facts)


@spares("a batch is numbered as it was run: no head within it is granted", scenarios.TOGETHER)
class RowsReversed(Bug):
    def commit(self, world: World, process: int, changes: Changes, began: float) -> Step:
        before = len(world.books.changes)
        label, after, broken = super().commit(world, process, changes, began)
        rows = after.books.changes[before:]
        subjects = [subject for _, subject in reversed(rows)]
        swapped = tuple((row[0], one) for row, one in zip(rows, subjects, strict=True))
        books = after.books._replace(changes=(*after.books.changes[:before], *swapped))
        return label, after._replace(books=books), broken
