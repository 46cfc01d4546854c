"""AuditService."""

from __future__ import annotations

from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.callers import Actor
from keyauthority.domain.facts import Action
from keyauthority.domain.reading_audit import ReadingAudit
from keyauthority.rpc import convert
from keyauthority.rpc.service import Parts
from keyauthority.v1 import audit_service_pb2 as v1
from keyauthority.v1.wire import timestamp


class AuditServicer:
    """Serves those who ask who did what."""

    def __init__(self, parts: Parts) -> None:
        self._audit = ReadingAudit(parts.books)
        self._pages = parts.pages

    async def ListAuditEntries(
        self, request: v1.ListAuditEntriesRequest, actor: Actor
    ) -> v1.ListAuditEntriesResponse:
        page = self._pages.of(request, actor)
        records = await self._audit.page(_filter(request), page.limit, page.after)
        entries, token = self._pages.cut(page, records, lambda entry: entry.id)
        return v1.ListAuditEntriesResponse(entries=map(_entry, entries), next_page_token=token)

    async def PruneAuditEntries(
        self, request: v1.PruneAuditEntriesRequest, actor: Actor
    ) -> v1.PruneAuditEntriesResponse:
        before = convert.time_of(request, "before_time")
        return v1.PruneAuditEntriesResponse(deleted=await self._audit.prune(actor, before))


def _filter(request: v1.ListAuditEntriesRequest) -> AuditFilter:
    return AuditFilter(
        request.subject,
        request.workspace_id,
        request.caller_id,
        convert.time_of(request, "start_time"),
        convert.time_of(request, "end_time"),
        request.person_id,
        request.action,
        convert.member_of(Action, request.fact, "fact") if request.fact else None,
    )


def _entry(entry: AuditEntry) -> v1.AuditEntry:
    return v1.AuditEntry(
        id=entry.id,
        time=timestamp(entry.time),
        caller_id=entry.caller_id,
        caller_name=entry.caller_name,
        action=entry.method,
        fact=convert.number_of(entry.action),
        subject=entry.subject,
        workspace_id=entry.workspace_id,
        refused=entry.refused,
        source=entry.source,
        request_id=entry.request_id,
        details=entry.details,
        revision=entry.revision,
        person_id=entry.person_id,
        person_name=entry.person_name,
    )
