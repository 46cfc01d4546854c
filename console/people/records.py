"""What the console's books hold."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


class Role(enum.Enum):
    """What a person may do in a workspace; each role may do all that those after it may."""

    OWNER = "owner"
    MEMBER = "member"
    VIEWER = "viewer"

    def covers(self, other: Role) -> bool:
        """Whether who has this role may do all that *other* may."""
        roles = list(Role)
        return roles.index(self) <= roles.index(other)


class LinkPurpose(enum.Enum):
    """What a one-time link is good for."""

    SETUP = "setup"
    INVITATION = "invitation"
    RECOVERY = "recovery"


class SubmissionState(enum.Enum):
    """NEW: sent for the first time. OPEN: sent again. CLOSED: its secret is not to be shown again."""

    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who does something, and from which client address; both empty for the console itself."""

    person_id: str
    email: str
    source: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in, unless *disabled*.

    *time_zone* is an IANA name, or empty: that of the browser.
    """

    id: str
    email: str
    name: str
    administrator: bool
    time_zone: str
    create_time: datetime
    has_password: bool
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Membership:
    """A workspace of a person."""

    workspace_id: str
    role: Role
    since: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A person of a workspace."""

    person: Person
    role: Role
    since: datetime


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that nobody accepted yet."""

    id: str
    workspace_id: str
    email: str
    role: Role
    invited_by: str
    inviter_email: str
    create_time: datetime
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link that is still good. What its purpose has no use for is empty."""

    purpose: LinkPurpose
    id: str
    email: str
    workspace_id: str
    role: Role | None
    person_id: str
    inviter_email: str
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in that lasts. *id* names it to people and opens nothing; the token is kept nowhere.

    *method* is `password` or `oidc`. It ends at *expire_time* unless it is used before.
    """

    id: str
    person: Person
    create_time: datetime
    last_seen_time: datetime
    expire_time: datetime
    address: str
    user_agent: str
    method: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a person did in the console itself, such as `member.add`."""

    id: int
    time: datetime
    person_id: str
    person_email: str
    workspace_id: str
    action: str
    subject: str
    details: Mapping[str, str]
    source: str


@dataclass(frozen=True, slots=True)
class Limit:
    """At most *most* attempts at once, of which one comes back each *per* / *most*."""

    name: str
    most: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Submission:
    """A form whose answer shows a secret, as it was sent first. *key_id* is empty until it is known."""

    state: SubmissionState
    key_id: str
    begin_time: datetime


@dataclass(frozen=True, slots=True)
class Password:
    """Signing in with a password."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Signing in at an OpenID provider."""

    issuer: str
    subject: str


Credential = Password | Identity
