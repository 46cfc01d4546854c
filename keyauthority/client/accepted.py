"""Which secrets were accepted before: they never wait behind unknown ones."""

from __future__ import annotations

from keyauthority.base.recent import Recent
from keyauthority.client.verification import Verification
from keyauthority.coherence.entries import Entries
from keyauthority.domain import secrets
from keyauthority.domain.verdicts import Verdict


class Accepted:
    """Accepted secrets, by digest, and the ids of their keys, for longer than verdicts hold.

    They decide which questions wait, never which secrets act. Only accepted secrets enter, so
    strangers can't fill this memory. It takes over verdicts that the cache drops.

    Args:
        cached: The verdicts in the cache.
        most: Secrets remembered, and as many ids. The oldest are forgotten first.
    """

    def __init__(self, cached: Entries[Verification], most: int) -> None:
        self._cached = cached
        self._digests: Recent[bytes, None] = Recent(most)
        self._key_ids: Recent[str, None] = Recent(most)
        # The ids that have vouched for a secret since a secret of their key was accepted.
        self._spent: Recent[str, None] = Recent(most)
        cached.on_drop = self._remember

    def knows(self, digest: bytes) -> bool:
        """Returns whether the last verdict on this secret accepted it."""
        cached = self._cached.find(digest)
        return digest in self._digests if cached is None else cached.verdict is Verdict.VALID

    def vouches(self, secret: str, digest: bytes) -> bool:
        """Returns whether *secret* was accepted, or names a key of which another secret was.

        A key's id vouches for one secret, and for the next after a secret of the key is accepted: a
        stranger who has learnt an id gets no more than that.
        """
        if self.knows(digest):
            return True
        key_id = secrets.record_id(secret)
        if key_id is None or key_id in self._spent or not self._knows_key(key_id):
            return False
        self._spent.note(key_id, None)
        return True

    def note(self, digest: bytes, verification: Verification) -> None:
        """Takes in the authority's *verification* of the secret of *digest*."""
        self._digests.forget(digest)
        if verification.verdict is Verdict.VALID:
            self._spent.forget(verification.key_id)
            if self._cached.find(digest) is None:
                self._digests.note(digest, None)
                self._key_ids.note(verification.key_id, None)

    def _remember(self, dropped: Verification) -> None:
        if dropped.verdict is Verdict.VALID:
            self._digests.note(dropped.digest, None)
            self._key_ids.note(dropped.key_id, None)

    def _knows_key(self, key_id: str) -> bool:
        return key_id in self._key_ids or any(
            cached.verdict is Verdict.VALID for cached in self._cached.of_key(key_id)
        )
