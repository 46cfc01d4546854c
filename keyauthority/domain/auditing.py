"""The record of who did what, written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.keys import Who


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that happened or was refused. Never holds a secret.

    `method` is the method or command that did it. The audit log assigns ascending `id`s; a new entry
    has 0. `revision` is 0 if no verdict changed. `person_id` is empty if the caller acted for itself.
    """

    id: int
    time: datetime
    caller_id: str
    caller_name: str
    method: str
    action: Action
    subject: str
    workspace_id: str
    refused: bool
    source: str
    request_id: str
    details: Mapping[str, str]
    revision: int
    person_id: str = ""
    person_name: str = ""

    @property
    def who(self) -> Who:
        """The person who did it, else the caller."""
        if self.person_id:
            return Who(self.person_id, self.person_name)
        return Who(self.caller_id, self.caller_name)


@dataclass(frozen=True, slots=True)
class Signature:
    """The fields that all entries of one call share; see `AuditEntry`."""

    caller_id: str
    caller_name: str
    method: str
    source: str = ""
    request_id: str = ""
    person_id: str = ""
    person_name: str = ""

    def entry(
        self, time: datetime, fact: Fact, subject: str, workspace_id: str, revision: int
    ) -> AuditEntry:
        """Returns the entry for *fact*."""
        return AuditEntry(
            id=0,
            time=time,
            caller_id=self.caller_id,
            caller_name=self.caller_name,
            method=self.method,
            action=fact.action,
            subject=subject,
            workspace_id=workspace_id,
            refused=fact.action is Action.ATTEMPT_REFUSED,
            source=self.source,
            request_id=self.request_id,
            details={name: value for name, value in fact.details.items() if value},
            revision=revision,
            person_id=self.person_id,
            person_name=self.person_name,
        )


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries to list. Empty and None match everything; `end` itself is excluded."""

    subject: str = ""
    workspace_id: str = ""
    caller_id: str = ""
    start: datetime | None = None
    end: datetime | None = None
    person_id: str = ""
    method: str = ""
    action: Action | None = None
