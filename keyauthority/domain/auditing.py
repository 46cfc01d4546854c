"""The record of who did what, kept in the transaction of the change it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that a caller did, or was refused. Never holds a secret.

    The log gives it its `id`, which grows; until then it is 0. `revision` is 0 for what changed no
    verdict. `person_id` is empty if the caller acted for itself.
    """

    id: int
    time: datetime
    caller_id: str
    caller_name: str
    action: str
    subject: str
    workspace_id: str
    refused: bool
    source: str
    request_id: str
    details: Mapping[str, str]
    revision: int
    person_id: str = ""
    person_name: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who did it and in which call, as the entries of that call say; see `AuditEntry`."""

    caller_id: str
    caller_name: str
    action: str
    source: str = ""
    request_id: str = ""
    person_id: str = ""
    person_name: str = ""

    def entry(
        self,
        time: datetime,
        subject: str,
        workspace_id: str,
        revision: int,
        details: Mapping[str, str],
        *,
        refused: bool,
    ) -> AuditEntry:
        """The entry of one thing that was done."""
        return AuditEntry(
            id=0,
            time=time,
            caller_id=self.caller_id,
            caller_name=self.caller_name,
            action=self.action,
            subject=subject,
            workspace_id=workspace_id,
            refused=refused,
            source=self.source,
            request_id=self.request_id,
            details=details,
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
    action: str = ""
