"""Calls of AuditService: who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, Page, call
from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.facts import Action
from keyauthority.v1 import audit_service_pb2 as v1
from keyauthority.v1.wire import timestamp


def page(which: AuditFilter, *, size: int = 0, token: str = "") -> Call[Page[AuditEntry]]:
    """A page of the entries that match, newest first."""
    request = v1.ListAuditEntriesRequest(
        subject=which.subject,
        workspace_id=which.workspace_id,
        caller_id=which.caller_id,
        start_time=timestamp(which.start),
        end_time=timestamp(which.end),
        person_id=which.person_id,
        action=which.method,
        fact=_number(which.action),
        page_size=size,
        page_token=token,
    )
    return call(request, v1.ListAuditEntriesResponse, _page)


def prune(before: datetime) -> Call[int]:
    """Deletes the entries older than *before*, and tells how many they were."""
    request = v1.PruneAuditEntriesRequest(before_time=timestamp(before))
    return call(request, v1.PruneAuditEntriesResponse, lambda reply: reply.deleted)


def _page(reply: v1.ListAuditEntriesResponse) -> Page[AuditEntry]:
    return Page(tuple(map(reading.audit_entry, reply.entries)), reply.next_page_token)


def _number(action: Action | None) -> Any:
    # For mypy an enum of the contract's is no number.
    return 0 if action is None else action.value
