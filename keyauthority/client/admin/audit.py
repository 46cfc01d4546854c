"""Calls of AuditService: who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, Page, call
from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.v1 import audit_service_pb2 as v1
from keyauthority.v1.wire import timestamp


def page(matching: AuditFilter, *, size: int = 0, token: str = "") -> Call[Page[AuditEntry]]:
    """Returns a page of the entries that match, newest first."""
    # For mypy an enum of the contract is no number.
    fact: Any = 0 if matching.action is None else matching.action.value
    request = v1.ListAuditEntriesRequest(
        subject=matching.subject,
        workspace_id=matching.workspace_id,
        caller_id=matching.caller_id,
        start_time=timestamp(matching.start),
        end_time=timestamp(matching.end),
        person_id=matching.person_id,
        action=matching.method,
        fact=fact,
        page_size=size,
        page_token=token,
    )
    return call(
        request,
        v1.ListAuditEntriesResponse,
        lambda reply: Page(tuple(map(reading.audit_entry, reply.entries)), reply.next_page_token),
    )


def prune(before: datetime) -> Call[int]:
    """Deletes the entries older than *before*. Returns how many."""
    request = v1.PruneAuditEntriesRequest(before_time=timestamp(before))
    return call(request, v1.PruneAuditEntriesResponse, lambda reply: reply.deleted)
