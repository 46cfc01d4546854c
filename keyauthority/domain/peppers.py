"""Pepper versions: the keys, held outside the database, of the digests of secrets."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime


class PepperState(enum.Enum):
    """The state of a version. The numbers are the contract's."""

    ADDED = 1
    ACTIVE = 2
    SUPERSEDED = 3
    RETIRED = 4


@dataclass(frozen=True, slots=True)
class Pepper:
    """The record of a version. Its `fingerprint` reveals a wrong keyring, not the pepper."""

    version: int
    state: PepperState
    fingerprint: bytes = field(repr=False)
    create_time: datetime


def used(peppers: Iterable[Pepper]) -> list[int]:
    """Returns the versions that stored digests may use."""
    states = (PepperState.ACTIVE, PepperState.SUPERSEDED)
    return [pepper.version for pepper in peppers if pepper.state in states]


def active(peppers: Iterable[Pepper]) -> Pepper:
    """Returns the version of new digests. An initialised database has exactly one."""
    return next(pepper for pepper in peppers if pepper.state is PepperState.ACTIVE)
