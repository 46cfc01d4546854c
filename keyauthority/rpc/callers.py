"""CallerService."""

from __future__ import annotations

from keyauthority.domain.callers import Actor
from keyauthority.domain.managing_callers import ManagingCallers
from keyauthority.rpc import convert
from keyauthority.rpc.pages import by_create_time
from keyauthority.rpc.parts import Parts
from keyauthority.v1 import caller_service_pb2 as v1


class CallerServicer:
    """Serves those who administer callers."""

    def __init__(self, parts: Parts) -> None:
        self._callers = ManagingCallers(parts.books, parts.keyring)
        self._pages = parts.pages

    async def CreateCaller(
        self, request: v1.CreateCallerRequest, actor: Actor
    ) -> v1.CreateCallerResponse:
        caller, token = await self._callers.create(
            actor,
            request.name,
            [convert.role_of(role) for role in request.roles],
            request.workspace_ids,
            request.certificate_name,
            acts_for_people=request.acts_for_people,
        )
        return v1.CreateCallerResponse(caller=convert.caller(caller), token=token.reveal())

    async def ListCallers(
        self, request: v1.ListCallersRequest, actor: Actor
    ) -> v1.ListCallersResponse:
        page = self._pages.asked(request, actor)
        found = await self._callers.page(page.limit, page.cursor)
        shown, token = self._pages.cut(page, found, by_create_time)
        return v1.ListCallersResponse(callers=map(convert.caller, shown), next_page_token=token)

    async def RevokeCaller(
        self, request: v1.RevokeCallerRequest, actor: Actor
    ) -> v1.RevokeCallerResponse:
        caller, receipt = await self._callers.revoke(actor, request.caller_id)
        return v1.RevokeCallerResponse(
            caller=convert.caller(caller), receipt=convert.receipt(receipt)
        )
