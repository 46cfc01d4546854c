"""The records of the admin services. Times are in UTC; no `repr` shows a secret.

`Receipt`, `KeySettings`, `Revocation`, `AuditEntry` and the choices are those of the authority itself. None
stands for a choice that only newer versions know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from keyauthority.domain.callers import Role
from keyauthority.domain.keys import UNKNOWN, KeySettings, KeyState, Revocation, Who
from keyauthority.domain.peppers import PepperState
from keyauthority.domain.recorded import RecordedState
from keyauthority.domain.secrets import Secret
from keyauthority.domain.sessions import Receipt
from keyauthority.domain.usage import UsageSum
from keyauthority.pricing.prices import Price, Rates

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Changed(Generic[Record]):
    """A record, or several, after a change, and the receipt that every verifier knows the change."""

    record: Record
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class PricesSet:
    """The rows of the price table that were named, and how many of them are new."""

    prices: tuple[Price, ...]
    added: int


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """One secret of a key, by its hint. Without an `end_time` it lives as long as the key."""

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
    creator: Who = UNKNOWN


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which can't be retrieved again."""

    key: Key
    secret: Secret


@dataclass(frozen=True, slots=True)
class RotatedKey:
    """A key and its new secret, which can't be retrieved again."""

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
    """One service credential. As an issuer it may touch `workspace_ids`; all if there are none."""

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
class Identity:
    """The caller, and of the authority its clock during the call and its version, if that is known."""

    caller: Caller
    server_time: datetime
    server_version: str


@dataclass(frozen=True, slots=True)
class NewCaller:
    """A new caller and its token, which can't be retrieved again."""

    caller: Caller
    token: Secret


@dataclass(frozen=True, slots=True)
class Session:
    """A verifier's session. Those of the authority's own processes have no `caller_id`."""

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
    """The sessions, oldest first, and the newest state, which they are compared with."""

    sessions: tuple[Session, ...]
    epoch: int
    revision: int
    lease: timedelta
    longest_wait: timedelta


@dataclass(frozen=True, slots=True)
class Pepper:
    """A pepper version, and how many secrets and tokens in force need it."""

    version: int
    state: PepperState | None
    secrets: int
    create_time: datetime


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A row for the price table: patterns of models and paths, and what their requests cost.

    Without an `effective_time` it counts from now on.
    """

    model: str
    path: str
    rates: Rates
    effective_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the charges of a workspace come to, and whether there is more than the answer holds."""

    sums: tuple[UsageSum, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class ChargeToRecord:
    """What a request cost, by whoever served it: *cost* in nano-credits, None for what its counts cost.

    Without a *time* it is one of now.
    """

    reference: str
    workspace_id: str
    key_id: str
    cost: int | None = None
    model: str = ""
    path: str = ""
    request_id: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    status: int = 0
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a charge, and what it cost in nano-credits if the ledger has it."""

    state: RecordedState | None
    cost: int


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """A key to import, whose secret was minted elsewhere."""

    secret: Secret
    settings: KeySettings
