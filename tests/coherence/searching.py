"""Breadth-first search through all that may happen: the first violation found has a shortest trace."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)

Step = tuple[str, S, str]
"""What happened, the state after it, and the promise it broke, or nothing."""


class Searchable(Protocol[S]):
    """What can be searched."""

    def first(self) -> S:
        """Where it begins."""

    def steps(self, state: S) -> Iterator[Step[S]]:
        """All that may happen next."""

    def broken(self, state: S) -> str:
        """The promise that a state breaks, or nothing."""


@dataclass(frozen=True, slots=True)
class Found(Generic[S]):
    """How a search ended: states seen, and the steps to a broken promise, if any."""

    states: int
    broken: str
    trace: tuple[str, ...]
    exhausted: bool


def search(model: Searchable[S], limit: int = 10_000_000) -> Found[S]:
    """Searches until a promise is broken, all states are seen, or *limit* of them."""
    first = model.first()
    came: dict[S, tuple[S, str] | None] = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        for label, after, breaks in model.steps(state):
            if after in came and not breaks:
                continue
            broken = breaks or model.broken(after)
            if broken:
                return Found(len(came), broken, (*_way(came, state), label), exhausted=False)
            came[after] = (state, label)
            queue.append(after)
        if len(came) >= limit:
            return Found(len(came), "", (), exhausted=False)
    return Found(len(came), "", (), exhausted=True)


def _way(came: dict[S, tuple[S, str] | None], state: S) -> tuple[str, ...]:
    labels = []
    step = came[state]
    while step is not None:
        state, label = step
        labels.append(label)
        step = came[state]
    return tuple(reversed(labels))
