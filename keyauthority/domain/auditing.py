"""The record of who did what, kept in the transaction of the change it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.keys import Who


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that happened, or was refused. Never holds a secret.

    `action` is what happened, `method` by which method or command. The log gives it its `id`, which
    grows; until then it is 0. `revision` is 0 for what changed no verdict. `person_id` is empty if the caller acted for itself.
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
        """Who did it: the person, else the caller."""
        if self.person_id:
            return Who(self.person_id, self.person_name)
        return Who(self.caller_id, self.caller_name)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who did it and in which call, as the entries of that call say; see `AuditEntry`."""

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
        """The entry of one thing that was done."""
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
    """Which entries to list: empty and None match everything; `start` is included, `end` is not."""

    subject: str = ""
    workspace_id: str = ""
    caller_id: str = ""
    start: datetime | None = None
    end: datetime | None = None
    person_id: str = ""
    method: str = ""
    action: Action | None = None
