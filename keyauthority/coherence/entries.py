"""Cached answers, found by what was presented, and dropped by what changed."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Generic, Self, TypeVar


def digest_of(presented: str) -> bytes:
    """What a cache knows a presented secret by: SHA-256, so that none is kept in memory."""
    return sha256(presented.encode("utf-8", "surrogatepass")).digest()


class Cached:
    """One answer in a cache.

    It holds until `until` (seconds by the verifier's clock) as long as nothing changes. A `final`
    one is a refusal that nothing changes ever again. `alive` is False once it was dropped, so that
    who still has it in hand can tell. `used` is what the cache knows it is wanted by.
    """

    __slots__ = ("alive", "final", "key_id", "until", "used", "workspace_id")

    def __init__(self, key_id: str, workspace_id: str, until: float, *, final: bool) -> None:
        self.key_id = key_id
        self.workspace_id = workspace_id
        self.until = until
        self.final = final
        self.alive = True
        self.used = False

    def renewed(self, by: Self) -> bool:
        """Takes over how long *by* holds, if it says the same; whether it does.

        So that who has this one in hand may go on with it.
        """
        return False


E = TypeVar("E", bound=Cached)


class Entries(Generic[E]):
    """At most *capacity* answers, by digest; the ones unused for longest make room (second chance)."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._by_digest: dict[bytes, E] = {}
        self._of_key: dict[str, tuple[bytes, ...]] = {}
        self._of_workspace: dict[str, set[str]] = {}
        self.find = self._by_digest.get
        """The answer of a digest, or None: the dictionary's own method, as the fastest there is."""

    def __len__(self) -> int:
        return len(self._by_digest)

    def __iter__(self) -> Iterator[tuple[bytes, E]]:
        return iter(self._by_digest.items())

    def put(self, digest: bytes, entry: E) -> E:
        """Keeps *entry* instead of what the digest had before, unless that is final or says the same.

        Returns what is kept: only that is told when it is dropped.
        """
        before = self._by_digest.get(digest)
        if before is not None:
            if before.final or before.renewed(entry):
                return before
            self._drop(digest)
        while len(self._by_digest) >= self._capacity:
            self._make_room()
        self._by_digest[digest] = entry
        if entry.key_id:
            self._of_key[entry.key_id] = (*self._of_key.get(entry.key_id, ()), digest)
            self._of_workspace.setdefault(entry.workspace_id, set()).add(entry.key_id)
        return entry

    def drop_subject(self, subject: str) -> None:
        """Drops what may depend on a key or a workspace, but not what is final."""
        for key_id in (subject, *self._of_workspace.get(subject, ())):
            for digest in self._of_key.get(key_id, ()):
                self._drop_unless_final(digest)

    def drop_all(self) -> None:
        """Drops everything but what is final."""
        for digest in list(self._by_digest):
            self._drop_unless_final(digest)

    def _drop_unless_final(self, digest: bytes) -> None:
        if not self._by_digest[digest].final:
            self._drop(digest)

    def _make_room(self) -> None:
        digest, entry = next(iter(self._by_digest.items()))
        if entry.used:
            # Back to the end of the line, once.
            entry.used = False
            self._by_digest[digest] = self._by_digest.pop(digest)
        else:
            self._drop(digest)

    def _drop(self, digest: bytes) -> None:
        entry = self._by_digest.pop(digest)
        entry.alive = False
        if not entry.key_id:
            return
        left = tuple(one for one in self._of_key[entry.key_id] if one != digest)
        if left:
            self._of_key[entry.key_id] = left
            return
        del self._of_key[entry.key_id]
        keys = self._of_workspace[entry.workspace_id]
        keys.discard(entry.key_id)
        if not keys:
            del self._of_workspace[entry.workspace_id]
