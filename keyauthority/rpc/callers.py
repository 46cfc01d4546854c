"""CallerService."""

from __future__ import annotations

from keyauthority.domain.callers import Actor, Caller, Role
from keyauthority.domain.managing_callers import ManagingCallers, NewCaller
from keyauthority.rpc import convert
from keyauthority.rpc.service import Parts
from keyauthority.v1 import caller_service_pb2 as v1
from keyauthority.v1.wire import timestamp


class CallerServicer:
    """Serves those who administer callers."""

    def __init__(self, parts: Parts) -> None:
        self._callers = ManagingCallers(parts.books, parts.keyring)
        self._pages = parts.pages

    async def CreateCaller(
        self, request: v1.CreateCallerRequest, actor: Actor
    ) -> v1.CreateCallerResponse:
        new = NewCaller(
            request.name,
            [convert.member_of(Role, role, "roles") for role in request.roles],
            request.workspace_ids,
            request.certificate_name,
            request.acts_for_people,
        )
        caller, token = await self._callers.create(actor, new)
        return v1.CreateCallerResponse(caller=caller_message(caller), token=token.reveal())

    async def ListCallers(
        self, request: v1.ListCallersRequest, actor: Actor
    ) -> v1.ListCallersResponse:
        page = self._pages.of(request, actor)
        callers, token = self._pages.cut(page, await self._callers.page(page.limit, page.cursor))
        return v1.ListCallersResponse(callers=map(caller_message, callers), next_page_token=token)

    async def RevokeCaller(
        self, request: v1.RevokeCallerRequest, actor: Actor
    ) -> v1.RevokeCallerResponse:
        caller, receipt = await self._callers.revoke(actor, request.caller_id)
        return v1.RevokeCallerResponse(
            caller=caller_message(caller), receipt=convert.receipt(receipt)
        )


def caller_message(record: Caller) -> v1.Caller:
    """Returns the record as a message, which has no secret."""
    return v1.Caller(
        id=record.id,
        name=record.name,
        roles=sorted(convert.number_of(role) for role in record.roles),
        workspace_ids=record.workspace_ids,
        certificate_name=record.certificate_name,
        token_hint=record.token_hint,
        create_time=timestamp(record.create_time),
        revoke_time=timestamp(record.revoke_time),
        acts_for_people=record.acts_for_people,
    )
