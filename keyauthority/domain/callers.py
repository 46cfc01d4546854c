"""A caller: the service or operator that calls the authority."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from keyauthority.domain.auditing import Signature
from keyauthority.domain.keys import Who


class Role(enum.Enum):
    """What a caller may do. None implies another. The numbers are the contract's."""

    VERIFIER = 1
    ISSUER = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """One named service credential.

    An issuer bound to `workspace_ids` touches only these; without any it touches all.
    `certificate_name` is the subject alternative name that stands for it beside its token.
    One that `acts_for_people` is believed when it says for whom. Its `seal` is described in `sealing`;
    a revoked one has none that is good, so that nobody brings it back.
    """

    id: str
    name: str
    roles: frozenset[Role]
    workspace_ids: tuple[str, ...]
    certificate_name: str
    digest: bytes = field(repr=False)
    pepper_version: int
    token_hint: str
    create_time: datetime
    revoke_time: datetime | None = None
    acts_for_people: bool = False
    seal: bytes | None = field(default=None, repr=False)

    def may_touch(self, workspace_id: str) -> bool:
        """Whether the caller, as an issuer, sees this workspace at all."""
        return not self.workspace_ids or workspace_id in self.workspace_ids

    def revoked(self, now: datetime) -> Caller:
        """The caller, revoked; itself if it was already."""
        return self if self.revoke_time is not None else replace(self, revoke_time=now, seal=b"")


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a caller acts for. The caller knows people; the authority takes its word."""

    id: str
    name: str


def _unheard(revision: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it: a caller in one call, with all that the audit keeps of that call.

    Without a `person` it acts for itself. `made` is called with the revision of its change when that
    is durable, and waits from then on until every verifier knows.
    """

    caller: Caller
    method: str
    source: str
    request_id: str
    person: Person | None = None
    made: Callable[[int], None] = field(default=_unheard, repr=False, compare=False)

    @property
    def who(self) -> Who:
        """Who has done what this call does: the person, else the caller."""
        doer = self.person or self.caller
        return Who(doer.id, doer.name)

    @property
    def signature(self) -> Signature:
        """Who did it, for the audit."""
        return Signature(
            self.caller.id,
            self.caller.name,
            self.method,
            self.source,
            self.request_id,
            self.person.id if self.person else "",
            self.person.name if self.person else "",
        )


@dataclass(frozen=True, slots=True)
class Insider:
    """Who does it without a call: an operator at the machine, or the authority itself.

    The ids are those of no caller. `method` is for instance `db lease`.
    """

    id: str
    name: str
    method: str

    def made(self, revision: int) -> None:
        """Its change is durable: nobody who made it has to hear of it before the fence."""

    @property
    def signature(self) -> Signature:
        """Who did it, for the audit."""
        return Signature(self.id, self.name, self.method)


def operator(command: str) -> Insider:
    """Whoever runs *command* at the machine, on the database itself."""
    return Insider("operator", "operator at the machine", command)


def authority(task: str) -> Insider:
    """The authority, doing *task* of its own accord."""
    return Insider("authority", "the authority itself", task)
