"""How far something is in the sequence of verdict-changing changes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Head:
    """How far the books are: the latest revision, and the epoch it belongs to."""

    epoch: int
    revision: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a verifier says it has applied: every change of *epoch* up to *revision*.

    One that has applied nothing claims revision 0 of epoch 0.
    """

    epoch: int
    revision: int
