"""Changes that are committed together, and how their process hears of it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.coherence.machines import Step
from tests.coherence.model_authority import Authority
from tests.coherence.scenarios import subject_of
from tests.coherence.world import Books, Committed, Committing, OpenFence, World

Changes = tuple[str, ...]
Made = tuple[tuple[int, int], ...]


class Batches(Authority):
    """Commits changes as `keyauthority.domain.books` does: a savepoint each, and one commit."""

    def begun(self, world: World, process: int) -> Iterator[Step]:
        """Takes some of the changes that wait, in their order."""
        waiting, now = self.has.changes[world.begun :], self.process_clock(world, process)
        most = len(waiting) if "together" in self.has.may else min(len(waiting), 1)
        for size in range(1, most + 1):
            after = world._replace(begun=world.begun + size)
            yield self.begin(after, process, waiting[:size], now)

    def begin(self, world: World, process: int, changes: Changes, began: float) -> Step:
        if "slow commit" not in self.has.may:
            return self.commit(world, process, changes, began)
        label = f"process {process} begins {', '.join(changes)}"
        return label, self.sent(world, Committing(process, changes, began)), ""

    def ends(self, world: World, message: Committing) -> Iterator[Step]:
        """Commits a batch. If it fails, nothing is made, and each of its changes is tried alone."""
        process, changes, began = message
        world = self.arrived(world, message)
        yield self.commit(world, process, changes, began)
        if "batch fails" in self.has.may and len(changes) > 1:
            for change in changes:
                if change[0] != "!":
                    world = self.sent(world, Committing(process, (change,), began))
            yield f"{', '.join(changes)} fail together", world, ""

    def commit(self, world: World, process: int, changes: Changes, began: float) -> Step:
        """Makes the changes in one step, then has the process hear of it: at once, later or never."""
        made, head = [], world.books.revision
        for change in changes:
            if change[0] == "!":
                world = world._replace(books=self.rolled_back(world.books, change))
            elif change[0] != "=":
                world = self.made(world, change)
                if change[0] != "*":
                    made.append((world.books.revision, len(world.versions) - 1))
        if any(change[0] == "=" for change in changes):
            made.append((self.last(world.books, head), len(world.versions) - 1))
        label = f"process {process} commits {', '.join(changes)} as {world.books.revision}"
        if "slow answer" in self.has.may:
            return label, self.sent(world, Committed(process, tuple(made), began)), ""
        return label, self.answered(world, process, tuple(made), began), ""

    def made(self, world: World, change: str) -> World:
        books = self.changed(world.books, change)
        versions = (*world.versions, (books.facts, world.tick))
        returned = len(versions) - 1 if change[0] == "*" else world.returned
        return world._replace(books=books, versions=versions, returned=returned)

    def changed(self, books: Books, change: str) -> Books:
        if change.startswith("lease"):
            return books._replace(lease=float(change.split()[1]))
        fact = {change[1:]}
        facts = books.facts - fact if change[0] == "-" else books.facts | fact
        if change[0] == "*":
            return books._replace(facts=facts)
        revision = books.revision + 1
        changes = (*books.changes, (revision, self.subject(change)))
        return books._replace(revision=revision, changes=changes, facts=facts)

    def rolled_back(self, books: Books, change: str) -> Books:
        return books

    def last(self, books: Books, before: int) -> int:
        """The revision that a change of nothing waits for; *before* is the one before its batch."""
        return books.revision

    def subject(self, change: str) -> str:
        return subject_of(change)

    def answered(self, world: World, process: int, made: Made, began: float) -> World:
        """The process hears of the commit: each change waits for its own revision."""
        committed = self.committed(world, process, began)
        for revision, version in made:
            world = self.fence(world, process, revision, version, committed)
        return world

    def hears_of_commit(self, world: World, message: Committed) -> Step:
        world = self.answered(self.arrived(world, message), *message)
        return f"process {message.process} hears of its commit", world, ""

    def committed(self, world: World, process: int, began: float) -> float:
        return self.process_clock(world, process)

    def fence(
        self, world: World, process: int, revision: int, version: int, committed: float
    ) -> World:
        fence = OpenFence(process, revision, version, committed)
        return world._replace(fences=tuple(sorted({*world.fences, fence})))
