"""AuditService."""

from __future__ import annotations

from keyauthority.domain.callers import Actor
from keyauthority.domain.reading_audit import ReadingAudit
from keyauthority.rpc import convert
from keyauthority.rpc.parts import Parts
from keyauthority.v1 import audit_service_pb2 as v1


class AuditServicer:
    """Serves those who ask who did what."""

    def __init__(self, parts: Parts) -> None:
        self._audit = ReadingAudit(parts.books)
        self._pages = parts.pages

    async def ListAuditEntries(
        self, request: v1.ListAuditEntriesRequest, actor: Actor
    ) -> v1.ListAuditEntriesResponse:
        page = self._pages.asked(request, actor)
        found = await self._audit.page(convert.audit_filter(request), page.limit, page.after)
        shown, token = self._pages.cut(page, found, lambda entry: entry.id)
        return v1.ListAuditEntriesResponse(
            entries=map(convert.audit_entry, shown), next_page_token=token
        )

    async def PruneAuditEntries(
        self, request: v1.PruneAuditEntriesRequest, actor: Actor
    ) -> v1.PruneAuditEntriesResponse:
        before = convert.time_of(request, "before_time")
        return v1.PruneAuditEntriesResponse(deleted=await self._audit.prune(actor, before))
