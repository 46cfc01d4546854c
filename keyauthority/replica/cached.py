"""Verdicts and callers in the memory of one process of the authority, in one coherent cache."""

from __future__ import annotations

from typing import Final, TypeAlias

from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.entries import Cached
from keyauthority.domain.callers import Caller
from keyauthority.domain.verdicts import Verdict, VerifiedKey

CAPACITY: Final = 200_000
"""Verdicts and callers in the cache, each of about a KiB."""


class CachedVerdict(Cached):
    """The verdict on one secret. `number` is the verdict's; `encoded` is set by who serialises it."""

    __slots__ = ("encoded", "key", "key_revoked", "number", "verdict")

    def __init__(
        self, verdict: Verdict, key: VerifiedKey | None, until: float, *, key_revoked: bool
    ) -> None:
        key_id, workspace_id = (key.id, key.workspace_id) if key else ("", "")
        super().__init__(key_id, workspace_id, until, final=verdict is Verdict.REVOKED)
        self.verdict = verdict
        self.number: int = verdict.value
        self.key = key
        self.key_revoked = key_revoked
        self.encoded: bytes | None = None


class CachedCaller(Cached):
    """The caller behind one credential."""

    __slots__ = ("caller",)

    def __init__(self, caller: Caller, until: float) -> None:
        super().__init__(caller.id, "", until, final=False)
        self.caller = caller


ReplicaCache: TypeAlias = CoherentCache[CachedVerdict | CachedCaller]
