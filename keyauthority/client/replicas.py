"""Whom to ask: the replicas of the authority, each judged by how it answered last.

The rules:

* those that are well take turns;
* one that failed, or was slow, is sick: it is asked last, and among the sick first whoever gave the
  last answer, so that being slow for a while is not taken for being dead;
* once a second one call tries a sick one, and no other call waits for that;
* an answer, whatever it says and however late, makes it well;
* where all are slow, few calls more are made for that: they would make it worse.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Generic, TypeVar

from keyauthority.client.addresses import Address
from keyauthority.client.names import Names, Target

TRIED_AGAIN: Final = 1.0
"""Seconds from a failure to the next call that tries the same replica, if others are well."""

LIVELY: Final = 1.0
"""Seconds since its last answer in which a replica that is sick is slow rather than dead."""

MOST_SPARE: Final = 100.0
SPARED_BY_ANSWER: Final = 0.125
"""Calls that may be made beside slow ones at once, and how many more for each answer."""

Channel = TypeVar("Channel")


class Replica(Generic[Channel]):
    """One replica, and the channel to it."""

    __slots__ = ("answered", "channel", "methods", "sick_until")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.methods: dict[object, Any] = {}
        """What its channel made for each method that is called."""
        self.sick_until: float | None = None
        """When it may be tried again; None if it is well."""
        self.answered = -math.inf
        """When it gave its last answer."""


class Replicas(Generic[Channel]):
    """The replicas at *addresses*; threads may share it.

    Args:
        addresses: Where they listen.
        dial: Opens a channel.
        retire: Closes one that no name leads to any more, once its calls are over.
        names: What the addresses stand for; by default as the system resolves them.
        clock: Tells seconds.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        dial: Callable[[Target], Channel],
        retire: Callable[[Channel], None],
        *,
        names: Names | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names = names or Names(addresses)
        self._dial = dial
        self._retire = retire
        self._clock = clock
        self._lock = threading.Lock()
        self._targets: tuple[Target, ...] = ()
        self._members: dict[Target, Replica[Channel]] = {}
        self._turn = 0
        self._spare = MOST_SPARE

    def next(
        self, tried: Collection[Replica[Channel]] = (), *, may_try_sick: bool = False
    ) -> Replica[Channel] | None:
        """Whom to ask now, other than those *tried*; None if there is nobody else.

        With *may_try_sick* it is a sick one whose second is over, if there is one.
        """
        with self._lock:
            rest = [one for one in self._current() if one not in tried]
            now = self._clock()
            if may_try_sick:
                for one in rest:
                    if one.sick_until is not None and one.sick_until <= now:
                        one.sick_until = now + TRIED_AGAIN
                        return one
            well = [one for one in rest if one.sick_until is None]
            self._turn += 1
            if well:
                return well[self._turn % len(well)]
            due = [one for one in rest if one.sick_until is None or one.sick_until <= now]
            return max(due or rest, key=lambda one: one.answered, default=None)

    def one(self) -> Replica[Channel]:
        """Whom to ask now, if it is one call alone."""
        replica = self.next()
        if replica is None:
            raise RuntimeError("no replica")  # each address stands for at least one
        return replica

    def may_ask_beside(self, tried: Collection[Replica[Channel]]) -> bool:
        """Whether another may be asked while those *tried* are slow: one that promises more."""
        if self._spare < 1:
            return False
        others = [one for one in list(self._members.values()) if one not in tried]
        if any(one.sick_until is None for one in others):
            return True
        since = self._clock() - LIVELY
        return (
            max((one.answered for one in others), default=-math.inf)
            > since
            > max(one.answered for one in tried)
        )

    def __len__(self) -> int:
        with self._lock:
            return len(self._current())

    def answered(self, replica: Replica[Channel]) -> None:
        """It is well."""
        replica.sick_until = None
        replica.answered = self._clock()
        self._spare = min(self._spare + SPARED_BY_ANSWER, MOST_SPARE)

    def slow(self, replicas: Collection[Replica[Channel]]) -> None:
        """They did not answer in their share of the time, and another is asked now."""
        self._spare -= 1
        for replica in replicas:
            self.failed(replica)

    def failed(self, replica: Replica[Channel]) -> None:
        """It is sick, or not there any more."""
        replica.sick_until = self._clock() + TRIED_AGAIN
        self._names.doubt()

    def close(self) -> list[Channel]:
        """Ends following names; the channels that are to be closed."""
        self._names.close()
        with self._lock:
            return [one.channel for one in self._members.values()]

    def _current(self) -> list[Replica[Channel]]:
        targets = self._names.targets
        if targets is not self._targets:
            self._targets = targets
            before, self._members = self._members, {}
            for target in targets:
                if target in before:
                    self._members[target] = before.pop(target)
                else:
                    self._members[target] = Replica(self._dial(target))
            for left in before.values():
                self._retire(left.channel)
        return list(self._members.values())
