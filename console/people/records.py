"""The records in the console's books, and the ids and tokens of new ones."""

from __future__ import annotations

import enum
import hashlib
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from keyauthority.client import Secret

_ALPHABET: Final = string.digits + string.ascii_letters


class Role(enum.Enum):
    """A member's role in a workspace, from the strongest to the weakest."""

    OWNER = "owner"
    MEMBER = "member"
    VIEWER = "viewer"

    def covers(self, other: Role) -> bool:
        """Returns whether this role permits all that *other* permits."""
        roles = list(Role)
        return roles.index(self) <= roles.index(other)


class LinkPurpose(enum.Enum):
    """The purpose of a one-time link."""

    SETUP = "setup"
    INVITATION = "invitation"
    RECOVERY = "recovery"


class SubmissionState(enum.Enum):
    """NEW: submitted for the first time. OPEN: repeated. CLOSED: its secret is shown no more."""

    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Origin:
    """The person who makes a change, and their client's address.

    *person_id* and *email* are empty for an operator at the machine, who may do everything.
    """

    person_id: str
    email: str
    source: str


@dataclass(frozen=True, slots=True)
class Person:
    """A person who may sign in, unless *disabled*. *time_zone* is an IANA name, or empty."""

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
class Link:
    """A valid one-time link. Fields that its purpose does not need are empty."""

    purpose: LinkPurpose
    id: str
    email: str
    workspace_id: str
    role: Role | None
    person_id: str
    invited_by: str
    inviter_email: str
    create_time: datetime
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's sign-in. *id* is public; the token that proves the session is stored nowhere.

    *method* is `password` or `oidc`. *expire_time* moves when the session is used.
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
    """A change that a person made in the console itself; *action* is such as `member.add`."""

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
    """At most *most* attempts at once, of which one is regained every *per* / *most*."""

    name: str
    most: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Submission:
    """A form that shows a secret, as first submitted. *key_id* is empty until it is answered."""

    state: SubmissionState
    key_id: str
    begin_time: datetime


@dataclass(frozen=True, slots=True)
class Password:
    """The password of a person who signs in with one."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """The account at an OpenID provider of a person who signs in there."""

    issuer: str
    subject: str


Credential = Password | Identity


def new_id(kind: str) -> str:
    """Returns a new id: *kind*, an underscore and 16 random base62 characters."""
    return f"{kind}_{''.join(secrets.choice(_ALPHABET) for _ in range(16))}"


def new_token() -> Secret:
    """Returns a new token of 256 random bits, as base64url."""
    return Secret(secrets.token_urlsafe(32))


def digest(text: str) -> bytes:
    """Returns what the books store of a token, or of a name that is only looked up."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
