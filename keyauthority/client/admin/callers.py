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
    """A new caller, as an issuer bound to *workspace_ids* if there are any."""
    numbers: list[Any] = [role.value for role in roles]
    request = v1.CreateCallerRequest(
        name=name,
        roles=numbers,
        workspace_ids=workspace_ids,
        certificate_name=certificate_name,
        acts_for_people=acts_for_people,
    )
    return call(request, v1.CreateCallerResponse, _new)


def page(*, size: int = 0, token: str = "") -> Call[Page[Caller]]:
    """A page of the callers, newest first, revoked ones included."""
    request = v1.ListCallersRequest(page_size=size, page_token=token)
    return call(request, v1.ListCallersResponse, _page)


def revoke(caller_id: str) -> Call[Changed[Caller]]:
    """Revokes the caller's credentials for good."""
    return call(v1.RevokeCallerRequest(caller_id=caller_id), v1.RevokeCallerResponse, _changed)


def _new(reply: v1.CreateCallerResponse) -> NewCaller:
    return NewCaller(reading.caller(reply.caller), Secret(reply.token))


def _page(reply: v1.ListCallersResponse) -> Page[Caller]:
    return Page(tuple(map(reading.caller, reply.callers)), reply.next_page_token)


def _changed(reply: v1.RevokeCallerResponse) -> Changed[Caller]:
    return Changed(reading.caller(reply.caller), reading.receipt(reply.receipt))
