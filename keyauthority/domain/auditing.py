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
class AuditFilter:
    """Which entries to list: empty and None match everything; `start` is included, `end` is not."""

    subject: str = ""
    workspace_id: str = ""
    caller_id: str = ""
    start: datetime | None = None
    end: datetime | None = None
    person_id: str = ""
    action: str = ""
