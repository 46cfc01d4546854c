"""Which replica of the authority to ask: each is judged by how it answered last.

The rules:

* replicas that are well take turns;
* a replica that failed, or was slow, is sick: it is asked last, and among sick ones first the one that
  gave the last answer, so that a slow replica is not taken for a dead one;
* once a second one call tries a sick replica, and no other call waits for that;
* an answer, whatever it says and however late, makes a replica well;
* where all are slow, few additional calls are made: they would make it worse.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Generic, TypeVar

import grpc

from keyauthority.client.addresses import Address
from keyauthority.client.attempts import is_of_the_question, is_sick
from keyauthority.client.names import Names, Target

TRIED_AGAIN: Final = 1.0
"""Seconds from a failure to the next call that tries the same replica, if others are well."""

LIVELY: Final = 1.0
"""Seconds since its last answer in which a sick replica is slow rather than dead."""

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
        retire: Closes a channel that no name leads to any more, once its calls are over.
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

    def __len__(self) -> int:
        with self._lock:
            return len(self._current())

    def next(
        self, tried: Collection[Replica[Channel]] = (), *, may_try_sick: bool = False
    ) -> Replica[Channel] | None:
        """Returns the replica to ask now, other than those *tried*; None if there is no other.

        With *may_try_sick* a sick replica that may be tried again is preferred.
        """
        with self._lock:
            others = [replica for replica in self._current() if replica not in tried]
            now = self._clock()
            if may_try_sick:
                for replica in others:
                    if replica.sick_until is not None and replica.sick_until <= now:
                        replica.sick_until = now + TRIED_AGAIN
                        return replica
            well = [replica for replica in others if replica.sick_until is None]
            self._turn += 1
            if well:
                return well[self._turn % len(well)]
            # Another thread may have made one of them well meanwhile.
            due = [other for other in others if (other.sick_until or 0.0) <= now]
            return max(due or others, key=lambda replica: replica.answered, default=None)

    def one(self) -> Replica[Channel]:
        """Returns the replica to ask now, by a call that asks no other."""
        replica = self.next()
        if replica is None:
            raise RuntimeError("no replica")  # each address stands for at least one
        return replica

    def may_ask_beside(self, tried: Collection[Replica[Channel]]) -> bool:
        """Returns whether to ask another replica while those *tried* are slow: one that promises more."""
        if self._spare < 1:
            return False
        others = [replica for replica in list(self._members.values()) if replica not in tried]
        if any(replica.sick_until is None for replica in others):
            return True
        since = self._clock() - LIVELY
        return (
            max((replica.answered for replica in others), default=-math.inf)
            > since
            > max(replica.answered for replica in tried)
        )

    def answered(self, replica: Replica[Channel]) -> None:
        """Notes that *replica* is well."""
        replica.sick_until = None
        replica.answered = self._clock()
        self._spare = min(self._spare + SPARED_BY_ANSWER, MOST_SPARE)

    def slow(self, replicas: Collection[Replica[Channel]]) -> None:
        """Notes that *replicas* did not answer in their share of the time, and another is asked."""
        self._spare -= 1
        for replica in replicas:
            self.failed(replica)

    def failed(self, replica: Replica[Channel]) -> None:
        """Notes that *replica* is sick, or gone."""
        replica.sick_until = self._clock() + TRIED_AGAIN
        self._names.doubt()

    def judge(self, replica: Replica[Channel], error: grpc.RpcError) -> None:
        """Notes what *error* says of *replica*: most errors are answers."""
        if is_sick(error) and not is_of_the_question(error):
            self.failed(replica)
        else:
            self.answered(replica)

    def close(self) -> list[Channel]:
        """Stops following names. Returns the channels, for the caller to close."""
        self._names.close()
        with self._lock:
            return [replica.channel for replica in self._members.values()]

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
            for replica in before.values():
                self._retire(replica.channel)
        return list(self._members.values())
