"""A key: the record of what may act for a workspace, and the digests of its secrets."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Final

from keyauthority.domain import limits

KEPT_SECRETS: Final = 100
"""How many secrets a key remembers; one older than these answers `UNKNOWN`, not `REVOKED`."""


class KeyState(enum.Enum):
    """What an administrator sees; a verdict also weighs the workspace and the secret.

    The numbers are those of the contract's enum.
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
    """What a key is set to: what its administrators choose, and may change later.

    Fields of messages, paths of an update mask and columns have the same names. Without an
    `expire_time` the key never expires; no `scopes` are full access.
    """

    name: str
    disabled: bool = False
    expire_time: datetime | None = None
    scopes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def check(self, names: Iterable[str], now: datetime) -> None:
        """Raises `FIELD_INVALID` for the first of the settings called *names* that breaks a limit."""
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
        """These settings, but with the *new* values of those called *names*."""
        return replace(self, **{name: getattr(new, name) for name in names})

    def differing(self, other: KeySettings) -> list[str]:
        """The names of the settings that have another value in *other*."""
        return [name for name in KEY_SETTINGS if getattr(self, name) != getattr(other, name)]


KEY_SETTINGS: Final = tuple(setting.name for setting in fields(KeySettings))
"""The names of the settings: those that an update mask may have."""


@dataclass(frozen=True, slots=True)
class Who:
    """A person, or a caller that acted for itself, by the name it had then: the id's prefix tells."""

    id: str
    name: str


UNKNOWN: Final = Who("", "")
"""Whoever it was: what was done before that was kept, and what was read for a verdict."""


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """What is kept of a secret: its digest under a pepper, and enough to recognise it by.

    The secret has ended from `end_time` on; without one it lives as long as its key. One that was
    imported has a `seal`: see `sealing`. `creator` was shown the secret.
    """

    digest: bytes = field(repr=False)
    pepper_version: int
    hint: str
    create_time: datetime
    end_time: datetime | None = None
    seal: bytes | None = field(default=None, repr=False)
    creator: Who = UNKNOWN

    def ended(self, now: datetime) -> bool:
        """Whether the secret was retired by a rotation."""
        return self.end_time is not None and self.end_time <= now

    def ending_by(self, end: datetime) -> StoredSecret:
        """The same secret, ending at *end* unless it ends earlier."""
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

    `version` counts the changes of the record. Revocation is final. Whose id `creator_id` is, a
    person's or a caller's, its prefix tells; it never changes, and is empty for keys from before it
    was kept. `last_used` is no part of the record: when its secrets, by their digests, were last
    found to act, for those who are shown it.
    """

    id: str
    workspace_id: str
    settings: KeySettings
    create_time: datetime
    update_time: datetime
    revocation: Revocation | None
    version: int
    secrets: tuple[StoredSecret, ...]
    creator_id: str = ""
    creator_name: str = ""
    last_used: Mapping[bytes, datetime] = field(default_factory=dict, compare=False, repr=False)

    def expired(self, now: datetime) -> bool:
        """Whether the key is past its expiry."""
        end = self.settings.expire_time
        return end is not None and end <= now

    def state(self, now: datetime) -> KeyState:
        """Where the key stands at *now*."""
        if self.revocation is not None:
            return KeyState.REVOKED
        if self.settings.disabled:
            return KeyState.DISABLED
        return KeyState.EXPIRED if self.expired(now) else KeyState.ACTIVE

    def revoked(self, now: datetime, reason: RevocationReason, note: str, by: Who) -> Key:
        """The key, revoked *by* somebody; itself if it was already."""
        if self.revocation is not None:
            return self
        return self._changed(now, revocation=Revocation(now, reason, note, by))

    def rotated(self, now: datetime, secret: StoredSecret, overlap_end: datetime) -> Key:
        """The key with a new *secret*; the newest of the old ones ends by *overlap_end*, others now."""
        newest, *older = self.secrets
        kept = (secret, newest.ending_by(overlap_end), *(old.ending_by(now) for old in older))
        return self._changed(now, secrets=kept[:KEPT_SECRETS])

    def updated(self, now: datetime, settings: KeySettings) -> Key:
        """The key, set to *settings*; itself if it is already."""
        return self if settings == self.settings else self._changed(now, settings=settings)

    def _changed(self, now: datetime, **changes: object) -> Key:
        changed = replace(self, **changes)  # type: ignore[arg-type]  # names are Key's own
        return replace(changed, update_time=now, version=self.version + 1)
