"""A key: the record of what may act for a workspace, and the digests of its secrets."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Final

from keyauthority.domain import limits

KEPT_SECRETS: Final = 100
"""How many secrets the record of a key has; older secrets are `UNKNOWN`, not `REVOKED`."""


class KeyState(enum.Enum):
    """The state of a key for its administrators; a verdict also depends on workspace and secret.

    The numbers are those of the contract's enum. A paused key is `DISABLED`.
    """

    ACTIVE = 1
    DISABLED = 2
    EXPIRED = 3
    REVOKED = 4


class RevocationReason(enum.Enum):
    """Why a key was revoked; all have the same effect. The numbers are the contract's."""

    UNSPECIFIED = 0
    COMPROMISED = 1
    SUPERSEDED = 2
    UNUSED = 3
    OWNER_LEFT = 4
    POLICY = 5


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What administrators choose for a key and may change later.

    Fields of messages, paths of an update mask and columns have the same names. A paused key is
    `disabled`. Without an `expire_time` the key never expires; no `scopes` are full access.
    """

    name: str
    disabled: bool = False
    expire_time: datetime | None = None
    scopes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def check(self, names: Iterable[str], now: datetime) -> None:
        """Raises `FIELD_INVALID` for the first setting of *names* that breaks a limit."""
        checks: dict[str, Callable[[], object]] = {
            "name": lambda: limits.name(self.name),
            "disabled": lambda: self.disabled,
            "expire_time": lambda: limits.expire_time(self.expire_time, now),
            "scopes": lambda: limits.scopes(self.scopes),
            "labels": lambda: limits.labels(self.labels),
        }
        for name in names:
            checks[name]()

    def merged(self, new: KeySettings, names: Iterable[str]) -> KeySettings:
        """Returns these settings with the *new* values of the settings *names*."""
        return replace(self, **{name: getattr(new, name) for name in names})

    def differing(self, other: KeySettings) -> list[str]:
        """Returns the names of the settings that have another value in *other*."""
        return [name for name in KEY_SETTINGS if getattr(self, name) != getattr(other, name)]


KEY_SETTINGS: Final = tuple(setting.name for setting in fields(KeySettings))
"""The names of the settings, which are the paths of an update mask."""


@dataclass(frozen=True, slots=True)
class Who:
    """A person, or a caller that acted for itself, with the name of that time.

    Only the id of a caller begins with `caller_`.
    """

    id: str
    name: str


UNKNOWN: Final = Who("", "")
"""Nobody is known: older versions stored nobody, and what is read for a verdict has nobody."""


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """The stored part of a secret: its digest under a pepper, and a hint for people.

    The secret ends at `end_time`, or else with its key. An imported secret has a `seal`: see
    `sealing`. `creator` is who received the secret.
    """

    digest: bytes = field(repr=False)
    pepper_version: int
    hint: str
    create_time: datetime
    end_time: datetime | None = None
    seal: bytes | None = field(default=None, repr=False)
    creator: Who = UNKNOWN

    def ended(self, now: datetime) -> bool:
        """Returns whether a rotation has ended the secret."""
        return self.end_time is not None and self.end_time <= now

    def ending_by(self, end: datetime) -> StoredSecret:
        """Returns the same secret, ending at *end* unless it ends earlier."""
        return self if self.ended(end) else replace(self, end_time=end)


@dataclass(frozen=True, slots=True)
class Revocation:
    """When, why and by whom a key was revoked."""

    time: datetime
    reason: RevocationReason
    note: str
    by: Who = UNKNOWN


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Never holds a secret, only digests; `secrets` are newest first.

    `version` counts the changes of the record. Revocation is final; the creator never changes.
    `last_used` is no part of the record but joined to it for administrators: when each secret, by its
    digest, was last `VALID`.
    """

    id: str
    workspace_id: str
    settings: KeySettings
    create_time: datetime
    update_time: datetime
    revocation: Revocation | None
    version: int
    secrets: tuple[StoredSecret, ...]
    creator: Who = UNKNOWN
    last_used: Mapping[bytes, datetime] = field(default_factory=dict, compare=False, repr=False)

    def expired(self, now: datetime) -> bool:
        """Returns whether the key is past its expiry."""
        end = self.settings.expire_time
        return end is not None and end <= now

    def state(self, now: datetime) -> KeyState:
        """Returns the key's state at *now*."""
        if self.revocation is not None:
            return KeyState.REVOKED
        if self.settings.disabled:
            return KeyState.DISABLED
        return KeyState.EXPIRED if self.expired(now) else KeyState.ACTIVE

    def revoked(self, now: datetime, reason: RevocationReason, note: str, by: Who) -> Key:
        """Returns the key revoked; a revoked key unchanged."""
        if self.revocation is not None:
            return self
        return self._changed(now, revocation=Revocation(now, reason, note, by))

    def rotated(self, now: datetime, secret: StoredSecret, overlap_end: datetime) -> Key:
        """Returns the key with a new *secret*; the last one ends by *overlap_end*, older ones now."""
        last, *older = self.secrets
        ended = (last.ending_by(overlap_end), *(stored.ending_by(now) for stored in older))
        return self._changed(now, secrets=(secret, *ended)[:KEPT_SECRETS])

    def updated(self, now: datetime, settings: KeySettings) -> Key:
        """Returns the key with *settings*; a key that has them unchanged."""
        return self if settings == self.settings else self._changed(now, settings=settings)

    def _changed(self, now: datetime, **changes: object) -> Key:
        changed = replace(self, **changes)  # type: ignore[arg-type]  # names are Key's own
        return replace(changed, update_time=now, version=self.version + 1)
