"""What the pages show: records that handlers fill and templates read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from keyauthority.client.admin import KeySettings


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """A workspace and the reader's role in it: `owner`, `member` or `viewer`."""

    id: str
    name: str
    suspended: bool
    role: str
    keys_href: str


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key in a list.

    `state` is `active`, `paused`, `expired` or `revoked`; `flags` says what deserves a look:
    `never_expires`, `unused`, `expiring`, `old_secret`.
    """

    id: str
    name: str
    hint: str
    creator: str
    create_time: datetime
    last_used_time: datetime | None
    expire_time: datetime | None
    state: str
    flags: Sequence[str]
    href: str
    rotate_href: str
    revoke_href: str


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One secret of a key; `state` is `current`, `ending` or `ended`."""

    hint: str
    create_time: datetime
    end_time: datetime | None
    last_used_time: datetime | None
    state: str


@dataclass(frozen=True, slots=True)
class Revocation:
    """When and why a key was revoked; `reason` is a value of `words.REASONS`, `who` may be empty."""

    reason: str
    note: str
    time: datetime
    who: str = ""


@dataclass(frozen=True, slots=True)
class KeyDetails(KeyRow):
    """A key on its own page."""

    settings: KeySettings
    secrets: Sequence[SecretRow]
    revocation: Revocation | None


@dataclass(frozen=True, slots=True)
class Card:
    """How many keys deserve a look for one reason, and where they are listed."""

    flag: str
    title: str
    text: str
    count: int
    href: str
    active: bool


@dataclass(frozen=True, slots=True)
class KeyQuery:
    """What the list of keys was asked for; `state` and `flag` are empty for all."""

    q: str = ""
    state: str = ""
    sort: str = "-created"
    flag: str = ""


@dataclass(frozen=True, slots=True)
class Pages:
    """Where in a list the reader is; `total` counts rows."""

    number: int
    count: int
    total: int
    previous_href: str | None
    next_href: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a change has arrived: `sentence` is what people read."""

    sentence: str
    milliseconds: int
    confirmed: int
    waited_out: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """Something that somebody did; `sentence` has the verb: "revoked the key"."""

    time: datetime
    who: str
    via: str
    sentence: str
    subject: str
    subject_href: str | None
    source: str
    request_id: str
    details: Sequence[tuple[str, str]]
    refused: bool
    revision: int


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member of a workspace; `only_owner` can neither change role nor leave."""

    id: str
    name: str
    email: str
    role: str
    since: datetime
    is_me: bool
    only_owner: bool
    remove_href: str
    role_action: str


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """Somebody who has been asked to join and has not yet."""

    id: str
    email: str
    role: str
    inviter: str
    create_time: datetime
    expire_time: datetime
    withdraw_action: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """Where a person is signed in; `method` is `password` or `oidc`."""

    id: str
    current: bool
    browser: str
    address: str
    create_time: datetime
    last_seen_time: datetime
    method: str
    end_action: str


@dataclass(frozen=True, slots=True)
class WorkspaceRow:
    """A workspace as administrators see it; `mine` if the reader is a member."""

    id: str
    name: str
    suspended: bool
    create_time: datetime
    members: int
    mine: bool
    keys_href: str
    suspend_href: str
    resume_action: str
    join_action: str


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as administrators see them."""

    id: str
    name: str
    email: str
    administrator: bool
    disabled: bool
    workspaces: int
    is_me: bool
    administrator_action: str
    recovery_action: str
    sign_out_action: str
    disabled_action: str
