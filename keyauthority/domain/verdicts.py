"""The answer to "may this secret act?"."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


class Verdict(enum.Enum):
    """`VALID`, or the first of the others, in this order, that applies.

    A verdict is a value, never an exception, so an outage can't be mistaken for a refusal. The
    numbers are those of the contract's enum. `DISABLED` is the verdict on a paused key.
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
    """What a verifier learns about the key of a secret: its owner and settings."""

    id: str
    workspace_id: str
    name: str
    scopes: tuple[str, ...]
    labels: Mapping[str, str]
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """One verdict and its basis.

    `key` is set exactly when the secret belongs to a key. The verdict was read from the state at
    `revision` of `epoch`. Unless a change comes, it holds for `cache_for` from the time of the
    request. `key_revoked` distinguishes a revoked key from a single ended secret.
    """

    verdict: Verdict
    key: VerifiedKey | None
    epoch: int
    revision: int
    cache_for: timedelta
    key_revoked: bool = False
