"""Pepper versions: the keys, held outside the database, that secrets' digests are made with."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime


class PepperState(enum.Enum):
    """Where a version stands. The numbers are the contract's."""

    ADDED = 1
    ACTIVE = 2
    SUPERSEDED = 3
    RETIRED = 4


@dataclass(frozen=True, slots=True)
class Pepper:
    """What the database knows of a version: its state, and a fingerprint to tell a wrong keyring by."""

    version: int
    state: PepperState
    fingerprint: bytes = field(repr=False)
    create_time: datetime


def used(peppers: Iterable[Pepper]) -> list[int]:
    """The versions that digests may have been made with."""
    kept = (PepperState.ACTIVE, PepperState.SUPERSEDED)
    return [pepper.version for pepper in peppers if pepper.state in kept]


def active(peppers: Iterable[Pepper]) -> Pepper:
    """The version that new digests are made with. An initialised database has exactly one."""
    return next(pepper for pepper in peppers if pepper.state is PepperState.ACTIVE)
