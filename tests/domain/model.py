"""What is right: the whole authority in a few dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from keyauthority.domain.verdicts import Verdict
from tests.conformance.records import START


@dataclass
class SecretModel:
    """What is known of one secret: the version of its pepper, and when it ends."""

    key_id: str
    pepper: int
    end: datetime | None = None
    forgotten: bool = False

    def ended(self, now: datetime) -> bool:
        return self.end is not None and self.end <= now


@dataclass
class KeyModel:
    """What is known of one key; its secrets newest first."""

    workspace_id: str
    expire: datetime | None
    secrets: list[str]
    disabled: bool = False
    revoked: bool = False


@dataclass
class Model:
    """The whole authority, in dictionaries."""

    now: datetime = START
    revision: int = 0
    keys: dict[str, KeyModel] = field(default_factory=dict)
    secrets: dict[str, SecretModel] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    peppers: dict[int, str] = field(default_factory=lambda: {1: "active"})

    def verdict(self, text: str, now: datetime) -> Verdict:
        secret = self.secrets[text]
        key = self.keys[secret.key_id]
        if secret.forgotten:
            return Verdict.UNKNOWN
        if key.revoked or secret.ended(now):
            return Verdict.REVOKED
        if key.disabled:
            return Verdict.DISABLED
        if key.expire is not None and key.expire <= now:
            return Verdict.EXPIRED
        if key.workspace_id in self.suspended:
            return Verdict.WORKSPACE_SUSPENDED
        return Verdict.VALID

    def active(self) -> int:
        return next(version for version, state in self.peppers.items() if state == "active")

    def needed(self, version: int) -> bool:
        return any(
            secret.pepper == version
            and not self.keys[secret.key_id].revoked
            and not secret.ended(self.now)
            for secret in self.secrets.values()
        )

    def mint(self, key_id: str, text: str) -> None:
        self.secrets[text] = SecretModel(key_id, self.active())
        self.keys[key_id].secrets.insert(0, text)
