"""A verifier's cache, and the lease under which it answers.

The rules, without each of which some history goes wrong (tests/coherence):

* a lease runs from the moment its request was *sent*, and is checked at every hit;
* what changed is dropped before it is acknowledged: a Sync claims what was applied;
* one Sync at a time, and a reply to any but the current one is ignored;
* an answer counts for nothing if it is of another epoch, or older than what was applied or seen since;
* a new epoch drops everything but final refusals, and nothing replaces a final refusal;
* a refusal of a whole key drops the other answers about the key;
* books that went back within an epoch drop everything but final refusals, and the answers to the
  questions under way count for nothing: nobody can tell what the books forgot, and did since;
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
    """A Sync to send. `sent` is the time by the verifier's clock, read before sending.

    `seen` is the newest revision heard of by then: the reply is not of an older one.
    """

    number: int
    session_id: str
    claim: Claim
    sent: float
    seen: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to send. The answer must be of revision `at_least`; if `fresh`, of the database.

    `epoch`, `applied` and `alarms` are those of the cache at the time `sent`.
    """

    sent: float
    epoch: int
    at_least: int
    applied: int
    fresh: bool
    alarms: int


class CoherentCache(Generic[E]):
    """The answers that a verifier has, and its lease to give them.

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
        """How often the books were found to have gone back: never, if all is well."""
        self._syncs = 0
        self._left = False

    # --- hits

    def holds_lease(self, now: float) -> bool:
        """Returns whether answers may come from the cache."""
        return now < self.lease_until

    def get(self, digest: bytes, now: float) -> E | None:
        """Returns the answer that may be given at *now*, a time read for this very question."""
        entry = self.entries.find(digest)
        if entry is None:
            return None
        if (now < self.lease_until and now < entry.until) or entry.final:
            entry.used = True
            return entry
        return None

    # --- questions

    def ask(self, now: float) -> Ask:
        """Returns a question to send at *now*."""
        return Ask(now, self.epoch, self.seen, self.applied, self.epoch == 0, self.alarms)

    def stands(self, ask: Ask, head: Head) -> bool:
        """Returns whether an answer to *ask*, read at *head*, may be given; else ask again."""
        if self.epoch not in (0, head.epoch) or ask.epoch != self.epoch:
            return False
        if ask.alarms != self.alarms or head.revision < max(self.seen, self.applied):
            return False
        if self.epoch:
            self.seen = head.revision
        return True

    def keep(self, ask: Ask, digest: bytes, entry: E, *, whole_key: bool = False) -> E:
        """Keeps an answer that `stands`; returns the answer to go by: a final one is never replaced.

        *whole_key* says of a final answer that it is about all secrets of its key.
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
        """Returns the Sync to send at *now*, which replaces one that is under way."""
        self._syncs += 1
        claim = Claim(self.epoch, self.applied)
        return SyncCall(self._syncs, self.session_id, claim, now, self.seen)

    def is_current(self, call: SyncCall) -> bool:
        """Returns whether *call* is the one whose reply counts."""
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

        *subjects* None is a reset. Returns False if the reply counts for nothing; if the books went
        back, everything but final refusals is dropped as well.
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
        # Not `self.seen`: an answer may have brought a newer head while this reply was on its way.
        if head.epoch != self.epoch:
            return head.epoch < self.epoch
        return head.revision < max(self.applied, call.seen)

    def session_gone(self, call: SyncCall) -> None:
        """Notes that the authority knows the session no more: the next Sync joins anew."""
        if self.is_current(call):
            self.session_id = ""

    def lose_lease(self) -> None:
        """Ends the lease, until the next grant."""
        self.lease_until = -math.inf

    def leave(self) -> str:
        """Ends the lease for good; returns the id of the session to end, if there is one."""
        self._left = True
        self.lose_lease()
        return self.session_id
