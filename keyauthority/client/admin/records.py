"""What the admin services speak of. Times are in UTC; nothing here ever shows a secret.

What the authority's own records hold in the same way is taken from there: `Receipt`, `KeySettings`,
`Revocation`, `AuditEntry`, and all choices. None stands for a choice that this version does not know yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from keyauthority.domain.callers import Role
from keyauthority.domain.keys import UNKNOWN, KeySettings, KeyState, Revocation, Who
from keyauthority.domain.peppers import PepperState
from keyauthority.domain.secrets import Secret
from keyauthority.domain.sessions import Receipt

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Changed(Generic[Record]):
    """A record, or several, after a change that every verifier knows, and the wait for them."""

    record: Record
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """One secret of a key: enough to recognise it. It lives as long as the key without an `end_time`."""

    hint: str
    create_time: datetime
    end_time: datetime | None = None
    pepper_version: int = 0
    last_used_time: datetime | None = None
    creator: Who = UNKNOWN


@dataclass(frozen=True, slots=True)
class Key:
    """One key; see the contract's `Key`. `secrets` are newest first."""

    id: str
    workspace_id: str
    settings: KeySettings
    state: KeyState | None
    secrets: tuple[SecretInfo, ...]
    create_time: datetime
    update_time: datetime
    revocation: Revocation | None
    etag: str
    last_used_time: datetime | None
    creator_id: str
    creator_name: str


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which can't be retrieved again."""

    key: Key
    secret: Secret


@dataclass(frozen=True, slots=True)
class RotatedKey:
    """A key and its new secret, which can't be retrieved again, once every verifier knows."""

    key: Key
    secret: Secret
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Workspace:
    """One tenant. While it is suspended all of its keys are refused."""

    id: str
    name: str
    suspended: bool
    create_time: datetime
    update_time: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class Caller:
    """One service credential. As an issuer it touches only `workspace_ids`; all, if there are none."""

    id: str
    name: str
    roles: tuple[Role | None, ...]
    workspace_ids: tuple[str, ...]
    certificate_name: str
    token_hint: str
    create_time: datetime
    revoke_time: datetime | None
    acts_for_people: bool


@dataclass(frozen=True, slots=True)
class NewCaller:
    """A new caller and its token, which can't be retrieved again."""

    caller: Caller
    token: Secret


@dataclass(frozen=True, slots=True)
class Session:
    """A verifier's entry in the authority's books. No `caller_id`: a process of the authority."""

    id: str
    caller_id: str
    caller_name: str
    name: str
    create_time: datetime
    sync_time: datetime
    revision: int
    lease: timedelta
    times_late: int


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions, oldest first, and what they are measured by."""

    sessions: tuple[Session, ...]
    epoch: int
    revision: int
    lease: timedelta
    longest_wait: timedelta


@dataclass(frozen=True, slots=True)
class Pepper:
    """A version of the pepper, and how many secrets and tokens in force need it."""

    version: int
    state: PepperState | None
    secrets: int
    create_time: datetime


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """A key to take over, whose secret was minted elsewhere."""

    secret: Secret
    settings: KeySettings
