"""A verifier's cache, and the lease that lets it answer from it.

The rules, each of which some history needs (tests/coherence has one that breaks without it):

* a lease runs from the moment its request was *sent*, and is checked at every hit;
* what changed is dropped before it is acknowledged: the claim is made of what is applied;
* one Sync at a time, and a reply to any but the current one is ignored;
* an answer read below what was applied or seen since counts for nothing; nor one of another epoch;
* a new epoch drops everything but final refusals, and nothing replaces these;
* a refusal of a whole key drops the other answers about it;
* books that went back within an epoch drop everything but final refusals, and so count for nothing
  the questions that were under way: what they forgot, and did since, nobody can tell;
* until the first grant, answers have to come from the database.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from keyauthority.coherence.entries import Cached, Entries
from keyauthority.domain.sessions import Claim, Head

E = TypeVar("E", bound=Cached)


@dataclass(frozen=True, slots=True)
class SyncCall:
    """A Sync to send. `sent` is the time by the verifier's clock, read before it is sent.

    `seen` is the newest revision that was heard of by then: its reply is not of an older one.
    """

    number: int
    session_id: str
    claim: Claim
    sent: float
    seen: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to send: the oldest state its answer may come from, and whether any cache may give it.

    `alarms` counts how often the books had gone back by then.
    """

    sent: float
    epoch: int
    at_least: int
    applied: int
    fresh: bool
    alarms: int


class CoherentCache(Generic[E]):
    """What a verifier knows, and until when it may say so without asking.

    Times are seconds by the verifier's own clock, which has to go on while the machine sleeps.
    """

    def __init__(self, capacity: int) -> None:
        self.entries: Entries[E] = Entries(capacity)
        self.session_id = ""
        self.epoch = 0
        self.applied = 0
        self.seen = 0
        self.lease_until = -math.inf
        self.foreign_secrets = True
        self.alarms = 0
        """How often the authority was behind what it had said before: never, if all is well."""
        self._syncs = 0
        self._left = False

    # --- hits

    def holds_lease(self, now: float) -> bool:
        """Whether answers may come from the cache."""
        return now < self.lease_until

    def get(self, digest: bytes, now: float) -> E | None:
        """The answer that may be given at *now*, a time read for this very question."""
        entry = self.entries.find(digest)
        if entry is None:
            return None
        if (now < self.lease_until and now < entry.until) or entry.final:
            entry.used = True
            return entry
        return None

    # --- questions

    def ask(self, now: float) -> Ask:
        """A question sent at *now*."""
        fresh = self.epoch == 0
        return Ask(now, self.epoch, self.seen, self.applied, fresh, self.alarms)

    def stands(self, ask: Ask, head: Head) -> bool:
        """Whether an answer to *ask*, read at *head*, may be given: if not, ask again."""
        if self.epoch not in (0, head.epoch) or ask.epoch != self.epoch:
            return False
        if ask.alarms != self.alarms:
            return False
        if head.revision < max(self.seen, self.applied):
            return False
        if self.epoch:
            self.seen = head.revision
        return True

    def keep(self, ask: Ask, digest: bytes, entry: E, *, whole_key: bool = False) -> E:
        """Keeps an answer that `stands`, and gives the one to go by: a final one is never replaced.

        *whole_key* says of a final one that it is about all secrets of its key.
        """
        before = self.entries.find(digest)
        if before is not None and before.final:
            return before
        if whole_key:
            self.entries.drop_subject(entry.key_id)
        if not self._left and (entry.final or entry.until > ask.sent):
            return self.entries.put(digest, entry)
        return entry

    # --- Sync

    def begin_sync(self, now: float) -> SyncCall:
        """The Sync to send at *now*. One that is under way is given up by it."""
        self._syncs += 1
        claim = Claim(self.epoch, self.applied)
        return SyncCall(self._syncs, self.session_id, claim, now, self.seen)

    def is_current(self, call: SyncCall) -> bool:
        """Whether *call* is the one whose reply counts."""
        return call.number == self._syncs and not self._left

    def apply(
        self,
        call: SyncCall,
        session_id: str,
        head: Head,
        subjects: Iterable[str] | None,
        lease: float,
        *,
        foreign_secrets: bool = True,
    ) -> bool:
        """Takes the reply to *call*: drops what changed, then counts the lease of *lease* seconds.

        *subjects* None is a reset. False if the reply counts for nothing; if the books went back,
        everything but final refusals is dropped.
        """
        if not self.is_current(call):
            return False
        if self._went_back(call, head):
            self.alarms += 1
            self.lose_lease()
            self.entries.drop_all()
            return False
        if head.epoch > self.epoch:
            self.seen = 0
            self.lose_lease()
            subjects = None
        if subjects is None:
            self.entries.drop_all()
        else:
            for subject in subjects:
                self.entries.drop_subject(subject)
        self.session_id = session_id
        self.epoch, self.applied = head.epoch, head.revision
        self.seen = max(self.seen, head.revision)
        self.foreign_secrets = foreign_secrets
        self.lease_until = max(self.lease_until, call.sent + lease)
        return True

    def _went_back(self, call: SyncCall, head: Head) -> bool:
        # An answer may have brought a newer head while this reply was on its way: `seen` is of before.
        if head.epoch != self.epoch:
            return head.epoch < self.epoch
        return head.revision < max(self.applied, call.seen)

    def session_gone(self, call: SyncCall) -> None:
        """The authority knows the session no more: the next Sync joins, with what is applied."""
        if self.is_current(call):
            self.session_id = ""

    def lose_lease(self) -> None:
        """Gives up answering from the cache, until the next grant."""
        self.lease_until = -math.inf

    def leave(self) -> str:
        """Ends it all: no hit and no grant from now on. The session that is to be ended, if any."""
        self._left = True
        self.lose_lease()
        return self.session_id
