"""Calls of CallerService: create, list and revoke those who may call the authority."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, Page, call
from keyauthority.client.admin.records import Caller, Changed, NewCaller
from keyauthority.domain.callers import Role
from keyauthority.domain.secrets import Secret
from keyauthority.v1 import caller_service_pb2 as v1


def create(
    name: str,
    roles: Sequence[Role],
    *,
    workspace_ids: Sequence[str] = (),
    certificate_name: str = "",
    acts_for_people: bool = False,
) -> Call[NewCaller]:
    """Creates a caller, which as an issuer is bound to *workspace_ids* if there are any."""
    numbers: list[Any] = [role.value for role in roles]
    request = v1.CreateCallerRequest(
        name=name,
        roles=numbers,
        workspace_ids=workspace_ids,
        certificate_name=certificate_name,
        acts_for_people=acts_for_people,
    )
    return call(
        request,
        v1.CreateCallerResponse,
        lambda reply: NewCaller(reading.caller(reply.caller), Secret(reply.token)),
    )


def page(*, size: int = 0, token: str = "") -> Call[Page[Caller]]:
    """Returns a page of the callers, newest first, revoked ones included."""
    request = v1.ListCallersRequest(page_size=size, page_token=token)
    return call(
        request,
        v1.ListCallersResponse,
        lambda reply: Page(tuple(map(reading.caller, reply.callers)), reply.next_page_token),
    )


def revoke(caller_id: str) -> Call[Changed[Caller]]:
    """Revokes the caller's credentials for good."""
    return call(
        v1.RevokeCallerRequest(caller_id=caller_id),
        v1.RevokeCallerResponse,
        lambda reply: Changed(reading.caller(reply.caller), reading.receipt(reply.receipt)),
    )
