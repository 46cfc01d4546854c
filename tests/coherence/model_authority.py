"""Sync and Verify at the authority, as `keyauthority.storage` and `keyauthority.replica` do them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from keyauthority.coherence.sessions import SessionBook, resets
from keyauthority.replica.syncing import _is_news
from tests.coherence.machines import Machines, Step
from tests.coherence.world import (
    KEY_OF,
    Answered,
    Books,
    Given,
    Leaving,
    Question,
    Reading,
    Recording,
    SyncAnswered,
    SyncSent,
    World,
    book_asleep,
    judged,
    wake_book,
)


class Authority(Machines):
    """Grants and answers."""

    def serving(self, world: World, follower: int) -> Iterator[int]:
        """Processes that can write the books for this follower; the first stands for all."""
        own = follower - self.has.verifiers
        for number, process in enumerate(world.processes):
            if process.state == "up" and process.frozen is None and own in (number, -1, -2):
                yield number
                return

    def sync(self, world: World, message: SyncSent, process: int) -> Iterator[Step]:
        label = f"Sync {message.call.number} of {self.name(message.follower)}"
        if message.held:
            again = self.grant_again(world, message)
            if again is not None:
                yield f"{label} is answered", again, ""
                return
        begun = self.begin_grant(self.arrived(world, message), message)
        if isinstance(begun[1], str):
            gone = SyncAnswered(message.follower, message.call, None, begun[1])
            yield f"{label} is refused", self.sent(begun[0], gone), ""
            return
        if "split sync" in self.has.may:
            yield f"{label} is in the books", self.sent(*begun), ""
            return
        after = self.record(self.sent(*begun), begun[1])[1]
        if "hold" in self.has.may and not message.held and message.call.session_id:
            grant = next(
                one.grant
                for one in after.net
                if type(one) is SyncAnswered and one.call is message.call
            )
            if grant is not None and not _is_news(grant, message.call.claim):
                held = self.sent(begun[0], message._replace(held=True))
                held = held._replace(book=after.book)
                yield f"{label} is held", held, ""
        yield f"{label} is answered", after, ""

    def grant_again(self, world: World, message: SyncSent) -> World | None:
        """Answers a held Sync, whose beat is in the book; None: it has to be renewed, for a reset."""
        book, call = wake_book(world.book, self.book_type), message.call
        caller, gone = self.caller(message.follower), ""
        grant = None
        if not self.in_book(book, call.session_id, caller):
            gone = "session gone"
        else:
            allowance = book.allowance(call.session_id)
            grant = self.granted(world.books, call.session_id, caller, call.claim, allowance)
            if grant is None:
                gone = "caller refused"
            elif resets(call.claim, grant.head):
                return None
        answered = SyncAnswered(message.follower, call, grant, gone)
        return self.sent(self.arrived(world, message), answered)

    def in_book(self, book: SessionBook, session_id: str, caller: str) -> bool:
        return book.caller_of(session_id) == caller

    def begin_grant(self, world: World, message: SyncSent) -> tuple[World, Recording | str]:
        book = wake_book(world.book, self.book_type)
        caller, session_id, ids = self.caller(message.follower), message.call.session_id, world.ids
        if not session_id:
            ids, session_id = self.join(book, caller, ids)
        elif not book.beat(session_id, caller):
            return world, "session gone"
        world = world._replace(book=book_asleep(book), ids=ids)
        allowance = book.allowance(session_id)
        return world, Recording(message.follower, message.call, session_id, None, allowance)

    def join(self, book: SessionBook, caller: str, ids: int) -> tuple[int, str]:
        session_id = f"session{ids + 1}"
        book.join(session_id, caller)
        return ids + 1, session_id

    def record(self, world: World, message: Recording) -> Step:
        """Reads what is granted, then writes down the claim."""
        caller = self.caller(message.follower)
        grant = self.granted(
            world.books, message.session_id, caller, message.call.claim, message.allowance
        )
        book, gone = wake_book(world.book, self.book_type), ""
        if message.session_id not in book:
            grant, gone = None, "session gone"
        elif grant is None:
            gone = "caller refused"
            if not message.call.session_id:
                book.leave(message.session_id, caller)
        else:
            book.acknowledge(message.session_id, self.credit(message.call, grant.head))
        world = self.arrived(world, message)._replace(book=book_asleep(book))
        label = f"Sync {message.call.number} of {self.name(message.follower)} is granted"
        answered = SyncAnswered(message.follower, message.call, grant, gone)
        return label, self.sent(world, answered), ""

    def left(self, world: World, message: Leaving) -> Step:
        book = wake_book(world.book, self.book_type)
        book.leave(message.session_id, self.caller(message.follower))
        world = self.arrived(world, message)._replace(book=book_asleep(book))
        return f"Leave of {message.session_id} arrives", world, ""

    def verify(self, world: World, message: Question, process: int) -> Iterator[Step]:
        if world.processes[process].state == "down":
            return
        follower, now = self.has.verifiers + process, self.process_clock(world, process)
        state, label = world.caches[follower], f"process {process} answers"
        if self.has.own_caches:
            known = self.known(state, message.secret, message.ask, now)
            if known is not None:
                answered = Answered(message, self.reported(known, world.books))
                yield (
                    f"{label} from its cache",
                    self.sent(self.arrived(world, message), answered),
                    "",
                )
                return
        books = world.processes[process].frozen or world.books
        given = self.judge(books, message.secret, world.tick)
        if given.revision < message.ask.at_least:
            return
        reading = Reading(message, process, self.asked(state, now), given)
        world = self.arrived(world, message)
        if "split read" in self.has.may:
            yield f"process {process} reads {message.secret}", self.sent(world, reading), ""
        else:
            for _, after, broken in self.finish_reading(self.sent(world, reading), reading):
                yield label, after, broken

    def judge(self, books: Books, secret: str, tick: int) -> Given:
        verdict, left = self.judged_at(secret, books.facts, tick), math.inf
        if verdict == "UNKNOWN":
            left = self.unknown_holds_for
        elif verdict == "VALID" and self.has.expires is not None:
            left = float(self.has.expires - tick)
        whole = f"{KEY_OF[secret]} revoked" in books.facts and verdict == "REVOKED"
        return Given(verdict, whole, books.epoch, books.revision, left)

    def judged_at(self, secret: str, facts: frozenset[str], tick: int) -> str:
        verdict = judged(secret, facts)
        expires = self.has.expires
        return (
            "EXPIRED" if verdict == "VALID" and expires is not None and tick >= expires else verdict
        )

    def finish_reading(self, world: World, message: Reading) -> Iterator[Step]:
        question, process, ask, given = message
        follower, now = self.has.verifiers + process, self.process_clock(world, process)
        if self.has.own_caches:
            state, silent = self.read_at_process(
                world.caches[follower], ask, question.secret, given, now
            )
            if silent:
                return
            world = self.with_cache(world, follower, state)
        world = self.sent(self.arrived(world, message), Answered(question, given))
        yield f"process {process} answers {question.secret} {given.verdict}", world, ""

    def reported(self, known: Given, books: Books) -> Given:
        return known
