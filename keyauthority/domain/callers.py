"""A caller: the service or operator that calls the authority."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from keyauthority.domain.auditing import AuditEntry


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


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it: a caller in one call, with all that the audit keeps of that call.

    Without a `person` it acts for itself.
    """

    caller: Caller
    action: str
    source: str
    request_id: str
    person: Person | None = None

    @property
    def creator(self) -> Person | Caller:
        """Who has made what this call makes."""
        return self.person or self.caller

    def entry(
        self,
        time: datetime,
        subject: str = "",
        workspace_id: str = "",
        revision: int = 0,
        details: Mapping[str, str] | None = None,
        *,
        refused: bool = False,
    ) -> AuditEntry:
        """The audit entry of what this call did to *subject*."""
        return AuditEntry(
            id=0,
            time=time,
            caller_id=self.caller.id,
            caller_name=self.caller.name,
            action=self.action,
            subject=subject,
            workspace_id=workspace_id,
            refused=refused,
            source=self.source,
            request_id=self.request_id,
            details=details or {},
            revision=revision,
            person_id=self.person.id if self.person else "",
            person_name=self.person.name if self.person else "",
        )
