"""The answer to "may this secret act?"."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


class Verdict(enum.Enum):
    """`VALID`, or the first that applies of the others, in this order.

    A verdict is a value, never an exception: an outage can't be mistaken for a refusal.
    The numbers are those of the contract's enum.
    """

    VALID = 1
    MALFORMED = 2
    UNKNOWN = 3
    REVOKED = 4
    DISABLED = 5
    EXPIRED = 6
    WORKSPACE_SUSPENDED = 7


@dataclass(frozen=True, slots=True)
class VerifiedKey:
    """What a verifier learns about the key behind a secret that matched: whose it is, and those of
    its settings that a verdict doesn't say.
    """

    id: str
    workspace_id: str
    name: str
    scopes: tuple[str, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verification:
    """One verdict and what it is based on.

    `key` is set exactly when the secret matched one. `revision` of `epoch` is the state the verdict
    was read from. `cache_for` is how long it holds if nothing changes, from when it was asked for.
    `key_revoked` tells, of `REVOKED`, whether the whole key is, and not only the one secret.
    """

    verdict: Verdict
    key: VerifiedKey | None
    epoch: int
    revision: int
    cache_for: timedelta
    key_revoked: bool = False
