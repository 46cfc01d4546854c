"""Which secrets were accepted before: they never wait behind those that nobody has seen."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from keyauthority.client.verification import Verification
from keyauthority.domain import secrets
from keyauthority.domain.verdicts import Verdict

K = TypeVar("K")


class Accepted:
    """Remembers accepted secrets, by digest, and the ids of their keys, longer than any verdict holds.

    It decides who waits where, never who may act. Only what was accepted enters, so strangers
    can't fill it.

    Args:
        most: Secrets remembered, and as many ids; the ones accepted longest ago are forgotten.
    """

    def __init__(self, most: int) -> None:
        self._digests: _Recent[bytes] = _Recent(most)
        self._key_ids: _Recent[str] = _Recent(most)

    def knows(self, digest: bytes) -> bool:
        """Whether the last verdict on this secret accepted it."""
        return digest in self._digests

    def vouches(self, secret: str, digest: bytes) -> bool:
        """Whether *secret* was accepted, or names a key of which another secret was.

        A key's name vouches for one secret at a time, and for the next one after a secret of the
        key is accepted: so much does a stranger get who has learnt an id.
        """
        if digest in self._digests:
            return True
        key_id = secrets.record_id(secret)
        if key_id is None or key_id not in self._key_ids:
            return False
        self._key_ids.discard(key_id)
        return True

    def note(self, digest: bytes, verification: Verification) -> None:
        """Learns from a verdict that the authority gave on the secret of *digest*."""
        if verification.verdict is Verdict.VALID:
            self._digests.add(digest)
            self._key_ids.add(verification.key_id)
        else:
            self._digests.discard(digest)


class _Recent(Generic[K]):
    # A set that forgets what was added longest ago, in constant time.

    def __init__(self, most: int) -> None:
        self._most = most
        self._members: OrderedDict[K, None] = OrderedDict()

    def __contains__(self, one: K) -> bool:
        return one in self._members

    def add(self, one: K) -> None:
        self._members[one] = None
        self._members.move_to_end(one)
        if len(self._members) > self._most:
            self._members.popitem(last=False)

    def discard(self, one: K) -> None:
        self._members.pop(one, None)
