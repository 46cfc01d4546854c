"""A caller: the service or operator that calls the authority."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar

from keyauthority.domain.auditing import Signature
from keyauthority.domain.keys import Who


class Role(enum.Enum):
    """What a caller may do. No role implies another. The numbers are the contract's."""

    VERIFIER = 1
    ISSUER = 2
    ADMIN = 3
    BILLER = 4


@dataclass(frozen=True, slots=True)
class Caller:
    """One named service credential.

    An issuer or biller with `workspace_ids` may touch only these workspaces, one without may touch all.
    `certificate_name` is a subject alternative name that identifies the caller as its token does.
    A caller that `acts_for_people` may name the person it acts for. `sealing` describes `seal`; a
    revoked caller has an invalid one: clearing `revoke_time` in the database reinstates nobody.
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
        """Returns whether the caller, as an issuer, may see and change this workspace."""
        return not self.workspace_ids or workspace_id in self.workspace_ids

    def revoked(self, now: datetime) -> Caller:
        """Returns the caller revoked; a revoked caller unchanged."""
        return self if self.revoke_time is not None else replace(self, revoke_time=now, seal=b"")


@dataclass(frozen=True, slots=True)
class Person:
    """The person that a caller acts for. The authority takes the caller's word for it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller in one call, with what the audit records of the call.

    Without a `person` the caller acts for itself. `on_durable` is called with the revision of the
    caller's change once the change is durable, before the wait for verifiers.
    """

    caller: Caller
    method: str
    source: str
    request_id: str
    person: Person | None = None
    on_durable: Callable[[int], None] | None = field(default=None, repr=False, compare=False)

    @property
    def who(self) -> Who:
        """The person, else the caller."""
        subject = self.person or self.caller
        return Who(subject.id, subject.name)

    @property
    def signature(self) -> Signature:
        """What the audit entries of this actor say of it."""
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
    """Whoever changes the books without a call: an operator at the machine, or the authority itself.

    No caller has such an `id`. `method` is a command such as `db lease`, or a task's name.
    """

    id: str
    name: str
    method: str
    on_durable: ClassVar[None] = None

    @property
    def signature(self) -> Signature:
        """What the audit entries of this actor say of it."""
        return Signature(self.id, self.name, self.method)


def operator(command: str) -> Insider:
    """Returns the actor that runs *command* at the machine, on the database itself."""
    return Insider("operator", "operator at the machine", command)


def authority(task: str) -> Insider:
    """Returns the authority itself as the actor of *task*."""
    return Insider("authority", "the authority itself", task)
