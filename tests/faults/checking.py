"""Whether a history keeps the promises; pure.

1. Nothing that is asked after a key was revoked (a secret retired, a workspace suspended), and its
   caller told, is accepted anywhere.
2. No good key is refused: acceptance, or no verdict.
3. W after a revocation was known to be made, whoever was told, nothing accepts the key.
4. A verifier that refused a key never accepts it again.
5. Asked of the database, issue, verify and revoke are linearizable for each key.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.faults.history import FRESH, Ask, Change, History, Kind, Minted, Outcome

FINAL = frozenset({Kind.REVOKE, Kind.RETIRE})


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: its number and what broke it."""

    promise: int
    ask: Ask
    because: str

    def __str__(self) -> str:
        return f"promise {self.promise}: {self.because}: {self.ask}"


@dataclass(slots=True)
class Life:
    """What is known of one secret: when it may have ended, and when it has, at the latest."""

    minted: Minted
    ending: float = math.inf
    """The first attempt to end it for good was begun."""
    ended: float = math.inf
    """The first one that somebody was told of."""
    made: float = math.inf
    """The first moment at which it was known to be over, whoever was told."""
    suspends: list[Change] = field(default_factory=list)
    resumes: list[Change] = field(default_factory=list)


def violations(history: History, longest_wait: float) -> list[Violation]:
    """Every broken promise. *longest_wait* is W, in seconds."""
    lives = _lives(history)
    by_secret: dict[int, list[Ask]] = defaultdict(list)
    for ask in history.asks:
        by_secret[ask.secret].append(ask)
    return [
        violation
        for secret, asks in by_secret.items()
        for violation in _of_secret(lives[secret], asks, longest_wait)
    ]


def _lives(history: History) -> dict[int, Life]:
    about: dict[str, list[Change]] = defaultdict(list)
    for change in history.changes:
        about[change.target].append(change)
    return {minted.secret: _life(minted, about) for minted in history.minted}


def _life(minted: Minted, about: dict[str, list[Change]]) -> Life:
    life = Life(minted)
    for change in about[str(minted.secret)] + about[minted.key] + about[minted.workspace]:
        if change.kind in FINAL:
            life.ending = min(life.ending, change.invoked)
            life.ended = min(life.ended, _or_never(change.returned))
            life.made = min(life.made, _or_never(change.returned), _or_never(change.made))
        elif change.kind is Kind.SUSPEND:
            life.suspends.append(change)
        else:
            life.resumes.append(change)
    return life


def _of_secret(life: Life, asks: list[Ask], longest_wait: float) -> Iterator[Violation]:
    refused_at = _first_refusals(asks)
    made = min(life.made, min(refused_at.values(), default=math.inf))
    for ask in asks:
        if ask.outcome is Outcome.ACCEPTED:
            yield from _accepted(life, ask, made + longest_wait)
            if ask.invoked > refused_at.get(ask.place, math.inf):
                yield Violation(4, ask, "the same verifier refused it before")
        elif ask.outcome is Outcome.REFUSED and life.ending >= _or_never(ask.returned):
            yield Violation(2, ask, "nobody had tried to revoke it")
        elif ask.outcome is Outcome.SUSPENDED and not _may_be_suspended(life, ask):
            yield Violation(2, ask, "its workspace was not suspended")
        elif ask.outcome is Outcome.UNEXPECTED:
            yield Violation(2, ask, "an answer that nothing explains")
    yield from _not_linear(life, [ask for ask in asks if ask.place == FRESH])


def _first_refusals(asks: Iterable[Ask]) -> dict[str, float]:
    # All that is refused so is refused for good: a workspace's suspension is another answer.
    first: dict[str, float] = {}
    for ask in asks:
        if ask.outcome is Outcome.REFUSED and ask.returned is not None:
            first[ask.place] = min(first.get(ask.place, math.inf), ask.returned)
    return first


def _accepted(life: Life, ask: Ask, over: float) -> Iterator[Violation]:
    if ask.invoked > life.ended:
        yield Violation(1, ask, f"revoked at {life.ended}")
    if ask.invoked > over:
        yield Violation(3, ask, f"revoked, and W over, at {over}")
    for suspend in life.suspends:
        if ask.invoked > _or_never(suspend.returned) and not _may_be_over(life, suspend, ask):
            yield Violation(1, ask, f"suspended at {suspend.returned}")


def _may_be_over(life: Life, suspend: Change, ask: Ask) -> bool:
    # A resume counts that can have come after the suspension and before the answer.
    return any(
        _or_never(resume.returned) > suspend.invoked and resume.invoked < _or_never(ask.returned)
        for resume in life.resumes
    )


def _may_be_suspended(life: Life, ask: Ask) -> bool:
    return any(
        suspend.invoked < _or_never(ask.returned) and not _is_over(life, suspend, ask)
        for suspend in life.suspends
    )


def _is_over(life: Life, suspend: Change, ask: Ask) -> bool:
    return any(
        _or_never(suspend.returned) <= resume.invoked and _or_never(resume.returned) <= ask.invoked
        for resume in life.resumes
    )


def _not_linear(life: Life, asks: list[Ask]) -> Iterator[Violation]:
    # A life has one end. It lies after the sending of every question that found it alive, and
    # before the answer of every one that did not.
    over = min(
        (_or_never(ask.returned) for ask in asks if ask.outcome is Outcome.REFUSED),
        default=math.inf,
    )
    for ask in asks:
        if ask.outcome is Outcome.ACCEPTED and ask.invoked > min(over, life.ended):
            yield Violation(5, ask, f"over at {min(over, life.ended)}")


def _or_never(time: float | None) -> float:
    return math.inf if time is None else time


# --- whether it was worth checking


@dataclass(frozen=True, slots=True)
class Work:
    """How much happened in a run, or how much has to for it to count."""

    asks: int
    """Questions that got a verdict."""
    hits: int
    """Of gateways, answered from memory."""
    revocations: int
    """Changes for good whose caller was told."""
    late: int
    """Questions about a secret that had been over for more than ten leases."""

    def lacks(self, minimum: Work) -> list[str]:
        """What is below *minimum*."""
        return [
            f"{getattr(self, name)} {name} of {getattr(minimum, name)}"
            for name in Work.__slots__
            if getattr(self, name) < getattr(minimum, name)
        ]


VERDICTS = frozenset({Outcome.ACCEPTED, Outcome.REFUSED, Outcome.SUSPENDED})


def work(history: History, lease: float) -> Work:
    """What was done. *lease* is in seconds."""
    lives = _lives(history)
    return Work(
        asks=sum(ask.outcome in VERDICTS for ask in history.asks),
        hits=_hits(history),
        revocations=sum(
            change.kind in FINAL and change.returned is not None for change in history.changes
        ),
        late=sum(
            ask.outcome in VERDICTS and ask.invoked > lives[ask.secret].ended + 10 * lease
            for ask in history.asks
        ),
    )


def _hits(history: History) -> int:
    # Counters begin at nothing with every start of a verifier.
    total, last = 0, defaultdict[str, int](int)
    for hits in history.hits:
        total += hits.number - last[hits.place] if hits.number >= last[hits.place] else hits.number
        last[hits.place] = hits.number
    return total
