"""Whose session ends because nobody hears of its verifier any more."""

from __future__ import annotations

from collections.abc import Iterable


class Janitor:
    """Remembers since when each session stands still, by its own clock alone.

    A session may be deleted once neither its id nor its beat has moved for W: beats are never given
    twice, so one seen again is the same lease, and that lease is over.
    """

    def __init__(self) -> None:
        self._still: dict[tuple[str, int], float] = {}

    def look(
        self, sessions: Iterable[tuple[str, int]], now: float, wait: float
    ) -> list[tuple[str, int]]:
        """Which of *sessions* (id, beat) to delete, if their beat is still the same by then.

        *now* is read after the sessions were, *wait* is W.
        """
        self._still = {each: self._still.get(each, now) for each in sessions}
        return [each for each, since in self._still.items() if now - since >= wait]
