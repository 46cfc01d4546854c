"""The states of the model: plain tuples, small and hashable, and the shipped machines made of them."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

from keyauthority.coherence.cache import Ask, CoherentCache, SyncCall
from keyauthority.coherence.calls import Calls
from keyauthority.coherence.entries import Cached
from keyauthority.coherence.sessions import Entry, SessionBook
from keyauthority.domain.sessions import WHOLE, Allowance, Grant

NEVER = -math.inf
KEY_OF = {"one": "key", "two": "key", "foreign": "imported"}
"""Secrets and their keys: one key has two. All belong to one workspace."""
WORKSPACE = "workspace"


class Answer(Cached):
    """What the model's caches keep."""

    __slots__ = ("verdict", "whole")

    def __init__(self, secret: str, verdict: str, until: float, *, whole: bool) -> None:
        known = verdict not in ("UNKNOWN", "MALFORMED")
        super().__init__(
            KEY_OF[secret] if known else "",
            WORKSPACE if known else "",
            until,
            final=verdict == "REVOKED",
        )
        self.verdict = verdict
        self.whole = whole


Cache = CoherentCache[Answer]


class Kept(NamedTuple):
    """One answer in a cache."""

    secret: str
    verdict: str
    until: float
    whole: bool


class CacheState(NamedTuple):
    """A `CoherentCache` asleep."""

    session_id: str = ""
    epoch: int = 0
    applied: int = 0
    seen: int = 0
    lease_until: float = NEVER
    foreign: bool = True
    alarms: int = 0
    syncs: int = 0
    left: bool = False
    kept: tuple[Kept, ...] = ()


class BookState(NamedTuple):
    """A `SessionBook` asleep: sessions as (id, caller, beat, acknowledged, allowance)."""

    sessions: tuple[tuple[str, str, int, int, Allowance], ...] = ()
    beats: int = 0


class Books(NamedTuple):
    """What the database holds. `settling` is the tick of the restore that is being waited out."""

    epoch: int
    revision: int
    changes: tuple[tuple[int, str], ...]
    facts: frozenset[str]
    lease: float
    longest: float
    settling: int | None
    clean_stop: bool


class Process(NamedTuple):
    """One process of the authority. `frozen` is the old primary's books, if it is cut off there.

    `still` and `doomed` are its janitor's, `stands` and `due` what it knows of allowances.
    """

    state: str = "up"
    settled: float = NEVER
    still: tuple[tuple[tuple[str, int], float], ...] = ()
    doomed: tuple[tuple[str, int], ...] = ()
    stands: tuple[tuple[tuple[str, int], float], ...] = ()
    due: tuple[tuple[str, Allowance, Allowance], ...] = ()
    frozen: Books | None = None


class OpenFence(NamedTuple):
    """A change that waits. `version` is the state of the facts that it made."""

    process: int
    revision: int
    version: int
    committed: float


class Waiter(NamedTuple):
    """A request as the ghost sees it: which versions and refusals it came after."""

    version: int
    refused: bool
    arrived: int


class Given(NamedTuple):
    """An answer of the authority's."""

    verdict: str
    whole: bool
    epoch: int
    revision: int
    left: float


class SyncSent(NamedTuple):
    follower: int
    call: SyncCall
    held: bool


class Recording(NamedTuple):
    """A Sync between its two steps in the books."""

    follower: int
    call: SyncCall
    session_id: str
    grant: Grant | None
    allowance: Allowance = WHOLE


class SyncAnswered(NamedTuple):
    """`gone` says why there is no grant."""

    follower: int
    call: SyncCall
    grant: Grant | None
    gone: str


class Question(NamedTuple):
    follower: int
    secret: str
    ask: Ask


class Reading(NamedTuple):
    """A Verify between the read and what the process makes of it."""

    question: Question
    process: int
    ask: Ask
    given: Given


class Answered(NamedTuple):
    question: Question
    given: Given


class Leaving(NamedTuple):
    follower: int
    session_id: str


class Committing(NamedTuple):
    """A batch of changes on its way to the books."""

    process: int
    changes: tuple[str, ...]
    began: float


class Committed(NamedTuple):
    """A batch that is in the books, of which its process hasn't heard: revisions and versions."""

    process: int
    made: tuple[tuple[int, int], ...]
    began: float


class World(NamedTuple):
    """Everything at one moment. `net` is what is under way: it may be late, overtaken or lost."""

    tick: int
    books: Books
    book: BookState
    ids: int
    caches: tuple[CacheState, ...]
    calls: tuple[tuple[tuple[tuple[str, tuple[Waiter, ...]], ...], ...], ...]
    processes: tuple[Process, ...]
    net: frozenset[NamedTuple]
    begun: int
    misfortunes: int
    fences: tuple[OpenFence, ...]
    versions: tuple[tuple[frozenset[str], int], ...]
    returned: int
    refused: tuple[frozenset[str], ...]


@cache
def judged(secret: str, facts: frozenset[str]) -> str:
    """The verdict on *secret* by *facts*."""
    key = KEY_OF[secret]
    if secret == "foreign" and "imported" not in facts:
        return "UNKNOWN"
    if f"{key} revoked" in facts or f"{secret} retired" in facts:
        return "REVOKED"
    if f"{key} disabled" in facts:
        return "DISABLED"
    return "SUSPENDED" if f"{WORKSPACE} suspended" in facts else "VALID"


def wake_cache(state: CacheState, cache_type: type[Cache]) -> Cache:
    cache = cache_type(10)
    cache.session_id, cache.epoch, cache.applied, cache.seen = state[:4]
    cache.lease_until, cache.foreign_secrets, cache.alarms = state[4:7]
    cache._syncs, cache._left = state[7:9]
    for kept in state.kept:
        cache.entries.put(kept.secret.encode(), Answer(*kept[:3], whole=kept.whole))
    return cache


def cache_asleep(cache: Cache, now: float) -> CacheState:
    """The state at *now*: what is over by then is as good as never."""
    return CacheState(
        cache.session_id,
        cache.epoch,
        cache.applied,
        cache.seen,
        cache.lease_until if now < cache.lease_until else NEVER,
        cache.foreign_secrets,
        cache.alarms,
        cache._syncs,
        cache._left,
        tuple(
            sorted(
                Kept(digest.decode(), one.verdict, one.until, one.whole)
                for digest, one in cache.entries
                if one.final or now < one.until
            )
        ),
    )


def wake_book(state: BookState, book_type: type[SessionBook]) -> SessionBook:
    book = book_type()
    book._entries = {
        one: Entry(caller, beat, known, allowance)
        for one, caller, beat, known, allowance in state.sessions
    }
    book._beats = state.beats
    return book


def book_asleep(book: SessionBook) -> BookState:
    return BookState(
        tuple((one, e.caller_id, e.beat, e.acknowledged, e.allowance) for one, e in sorted(book)),
        book._beats,
    )


def wake_calls(
    state: tuple[tuple[tuple[str, tuple[Waiter, ...]], ...], ...], calls_type: type[Calls[Waiter]]
) -> Calls[Waiter]:
    calls = calls_type()
    running, following = state
    calls._running = {secret.encode(): list(waiters) for secret, waiters in running}
    calls._next = {secret.encode(): list(waiters) for secret, waiters in following}
    return calls


def calls_asleep(
    calls: Calls[Waiter],
) -> tuple[tuple[tuple[str, tuple[Waiter, ...]], ...], ...]:
    return tuple(
        tuple(sorted((digest.decode(), tuple(waiters)) for digest, waiters in some.items()))
        for some in (calls._running, calls._next)
    )
