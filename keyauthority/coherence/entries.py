"""Cached answers, found by what was presented, and dropped by what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Final, Generic, Self, TypeVar


def digest_of(presented: str) -> bytes:
    """Returns SHA-256 of a presented secret: a cache has secrets' digests only."""
    return sha256(presented.encode("utf-8", "surrogatepass")).digest()


class Cached:
    """One answer in a cache.

    The answer holds until `until` (seconds by the verifier's clock) unless something changes. A
    `final` one is a refusal that nothing ever changes. `alive` is False once the cache dropped the
    answer, for code that still has a reference. `used` says that the answer was given since its last
    turn in line. The rest is the cache's own: the `digest` that finds the answer, its neighbours in
    line, and the next answer about the same key.
    """

    __slots__ = (
        "alive",
        "digest",
        "final",
        "key_id",
        "newer",
        "of_same_key",
        "older",
        "until",
        "used",
        "workspace_id",
    )
    digest: bytes
    older: Cached
    newer: Cached
    of_same_key: Self | None

    def __init__(self, key_id: str, workspace_id: str, until: float, *, final: bool) -> None:
        self.key_id = key_id
        self.workspace_id = workspace_id
        self.until = until
        self.final = final
        self.alive = True
        self.used = False

    def renewed(self, by: Self) -> bool:
        """Takes over how long *by* holds, if *by* says the same; returns whether it does.

        References to this answer then stay good.
        """
        return False


class Line:
    """Answers in the order in which they make room: a ring of neighbours.

    Each step takes the same time, however many answers are in line. A dictionary would walk over all
    that was deleted from its front to find the oldest.
    """

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = Cached("", "", 0.0, final=False)
        self._end.older = self._end.newer = self._end

    @property
    def oldest(self) -> Cached:
        """The first in line, which must not be empty."""
        return self._end.newer

    def append(self, entry: Cached) -> None:
        """Puts *entry* at the end of the line."""
        before, end = self._end.older, self._end
        entry.older, entry.newer = before, end
        before.newer = end.older = entry

    def remove(self, entry: Cached) -> None:
        """Takes *entry* out of the line, wherever it stands."""
        entry.older.newer, entry.newer.older = entry.newer, entry.older
        # Else each would keep the next in memory.
        del entry.older, entry.newer


E = TypeVar("E", bound=Cached)

SECOND_CHANCES: Final = 8
"""How many used answers go back to the end of the line, at most, before one makes room."""


class Entries(Generic[E]):
    """At most *capacity* answers, by digest; those unused for longest make room (second chance).

    `put` takes the same time whatever is in the cache: where all answers are used, the ninth in line
    makes room all the same.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._by_digest: dict[bytes, E] = {}
        self._of_key: dict[str, E] = {}
        self._of_workspace: dict[str, set[str]] = {}
        self._line = Line()
        self.find = self._by_digest.get
        """Returns the answer of a digest, or None: the dictionary's own method, as the fastest."""
        self.on_drop: Callable[[E], object] | None = None
        """Called with each answer that is dropped, if set."""

    def __len__(self) -> int:
        return len(self._by_digest)

    def __iter__(self) -> Iterator[tuple[bytes, E]]:
        return iter(self._by_digest.items())

    def put(self, digest: bytes, entry: E) -> E:
        """Keeps *entry*, unless the digest has an answer that is final or says the same.

        Returns the answer that is kept.
        """
        before = self._by_digest.get(digest)
        if before is not None:
            if before.final or before.renewed(entry):
                return before
            self._drop(before)
        elif len(self._by_digest) >= self._capacity:
            self._make_room()
        entry.digest = digest
        self._by_digest[digest] = entry
        self._line.append(entry)
        if entry.key_id:
            entry.of_same_key = self._of_key.get(entry.key_id)
            self._of_key[entry.key_id] = entry
            self._of_workspace.setdefault(entry.workspace_id, set()).add(entry.key_id)
        return entry

    def drop_subject(self, subject: str) -> None:
        """Drops the answers that may depend on a key or a workspace, but no final one."""
        for key_id in (subject, *self._of_workspace.get(subject, ())):
            for entry in list(self.of_key(key_id)):
                self._drop_unless_final(entry)

    def drop_all(self) -> None:
        """Drops all answers but the final ones."""
        for entry in list(self._by_digest.values()):
            self._drop_unless_final(entry)

    def of_key(self, key_id: str) -> Iterator[E]:
        """Yields the answers about a key, the newest first."""
        entry = self._of_key.get(key_id)
        while entry is not None:
            yield entry
            entry = entry.of_same_key

    def _drop_unless_final(self, entry: E) -> None:
        if not entry.final:
            self._drop(entry)

    def _make_room(self) -> None:
        for _ in range(SECOND_CHANCES):
            oldest = self._line.oldest
            if not oldest.used:
                break
            oldest.used = False
            self._line.remove(oldest)
            self._line.append(oldest)
        self._drop(self._by_digest[self._line.oldest.digest])

    def _drop(self, entry: E) -> None:
        del self._by_digest[entry.digest]
        self._line.remove(entry)
        entry.alive = False
        if entry.key_id:
            self._unlink(entry)
        if self.on_drop is not None:
            self.on_drop(entry)

    def _unlink(self, entry: E) -> None:
        # From the chain of its key, which is short: the key's secrets in the cache.
        key_id, first = entry.key_id, self._of_key[entry.key_id]
        if first is not entry:
            while first.of_same_key is not entry:
                assert first.of_same_key is not None  # noqa: S101  # it stands further on
                first = first.of_same_key
            first.of_same_key = entry.of_same_key
        elif entry.of_same_key is not None:
            self._of_key[key_id] = entry.of_same_key
        else:
            del self._of_key[key_id]
            keys = self._of_workspace[entry.workspace_id]
            keys.discard(key_id)
            if not keys:
                del self._of_workspace[entry.workspace_id]
        entry.of_same_key = None
