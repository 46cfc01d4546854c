"""What was promised, checked over what happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Final

WORKSPACE_OF: Final = {f"key{n}": f"workspace{n % 2}" for n in range(5)}
SECRETS: Final = {f"{key}.a": key for key in WORKSPACE_OF} | {"key0.b": "key0", "key1.b": "key1"}


@cache
def judged(secret: str, facts: frozenset[str]) -> str:
    """The verdict on *secret* by *facts*."""
    key = SECRETS[secret]
    if f"{key} revoked" in facts or f"{secret} retired" in facts:
        return "REVOKED"
    if f"{key} disabled" in facts:
        return "DISABLED"
    return "SUSPENDED" if f"{WORKSPACE_OF[key]} suspended" in facts else "VALID"


@dataclass(slots=True)
class Version:
    """A state of the facts: when it was made, and when its caller knew."""

    facts: frozenset[str]
    made: float
    known: float | None = None


@dataclass
class History:
    """What happened, in true seconds. *bound* is W: after it a change counts as known anyhow.

    Promise 4 is not owed over a failover to a verifier that has no lease yet: an old primary that is
    still read is against the stated assumptions.
    """

    bound: float
    versions: list[Version] = field(default_factory=list)
    restores: int = 0
    failovers: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    _forgotten: set[tuple[int, str]] = field(default_factory=set)
    _refused: dict[tuple[int, str], float] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """The one that the books are in."""
        return self.restores + 1

    def made(self, facts: frozenset[str], time: float) -> Version:
        self.versions.append(Version(facts, time))
        return self.versions[-1]

    def answered(
        self, verifier: int, secret: str, verdict: str, arrived: float, time: float
    ) -> None:
        """A request that arrived at *arrived* got *verdict* at *time*."""
        self.counts[verdict] += 1
        possible = {judged(secret, version.facts) for version in self._between(arrived, time)}
        if verdict not in possible and not (verdict == "REVOKED" and self.restores):
            self.broken.append(
                f"promises 1-3: at {time:.3f} verifier {verifier} calls {secret} {verdict}, not "
                f"{' or '.join(sorted(possible))}; it was presented at {arrived:.3f}"
            )
        for what in (secret, SECRETS[secret]):
            refused = self._refused.get((verifier, what), time)
            if verdict == "VALID" and refused < arrived and not self.failovers:
                self.broken.append(
                    f"promise 4: at {time:.3f} verifier {verifier} accepts {secret}, presented at "
                    f"{arrived:.3f}, after it refused {what}"
                )

    def refused(self, verifier: int, what: str, time: float) -> None:
        """A secret, or a whole key, was refused for good."""
        self._refused.setdefault((verifier, what), time)
        self._forgotten.discard((verifier, what))

    def forgotten(self, verifier: int) -> None:
        """A verifier lost its memory."""
        self._forgotten |= {each for each in self._refused if each[0] == verifier}
        if self.restores:
            self._forget()

    def restored(self, facts: frozenset[str], time: float) -> None:
        """What was revoked may not be any more: only secrets whose refusal is remembered stay refused."""
        self.restores += 1
        self.made(facts, time)
        self._forgotten |= {each for each in self._refused if each[1] not in SECRETS}
        self._forget()

    def _forget(self) -> None:
        for each in self._forgotten:
            self._refused.pop(each, None)

    def _between(self, arrived: float, time: float) -> list[Version]:
        oldest = 0
        for number, version in enumerate(self.versions):
            known = version.known is not None and version.known < arrived
            if known or version.made + self.bound < arrived:
                oldest = number
        return [version for version in self.versions[oldest:] if version.made <= time]
