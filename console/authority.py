"""The key authority as the console sees it: calls made for a person, who stands in its audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.client import Secret
from keyauthority.client.admin import (
    AdminClient,
    Call,
    CredentialError,
    Key,
    MissingError,
    Person,
    Reason,
    UnavailableError,
    Workspace,
    keys,
    workspaces,
)
from keyauthority.client.admin.calling import Result

MOST: Final = 1_000
"""How many keys of a workspace the pages look at: the newest. So many are read or revoked at once."""

_log = structlog.get_logger("console.authority")


class Authority:
    """The authority behind *channel*, which the console calls with *token*."""

    def __init__(self, channel: grpc.aio.Channel, token: Secret) -> None:
        self._client = AdminClient(channel, token)
        self._health: Any = HealthStub(channel)

    def acting_for(self, person: Person | None, request_id: str) -> Acting:
        """The authority, called for somebody in the course of one request."""
        return Acting(self._client.acting_for(person, request_id))

    async def healthy(self) -> bool:
        """Whether it says that it can do its work."""
        try:
            answer = await self._health.Check(HealthCheckRequest(), timeout=1)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == HealthCheckResponse.SERVING)


class Acting:
    """What can be asked of the authority for one person. Everything raises `AuthorityError`."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client
        # How it gave no answer before: who waited once in this request doesn't wait again.
        self._outage: UnavailableError | None = None

    async def call(self, call: Call[Result]) -> Result:
        """The result of *call*. The console's credential being refused is an outage of its own."""
        if self._outage is not None:
            raise self._outage
        try:
            return await self._client.call(call)
        except (UnavailableError, CredentialError) as error:
            reason = error.reason.name if error.reason is not None else ""
            _log.warning("authority call failed", code=error.code.name, reason=reason)
            self._outage = UnavailableError(error.message, error.code, error.reason)
            raise self._outage from None

    async def workspaces(self, ids: Sequence[str]) -> list[Workspace]:
        """The workspaces of *ids* that there are, in that order."""
        return [
            one for batch in _batches(ids) for one in await self.call(workspaces.get_all(batch))
        ]

    async def keys(
        self,
        workspace_id: str,
        *,
        name_contains: str = "",
        creator_id: str = "",
        secret_creator_id: str = "",
    ) -> tuple[Sequence[Key], bool]:
        """The newest keys of a workspace, and whether there are more than was looked at."""
        page = await self.call(
            keys.page(
                workspace_id,
                name_contains=name_contains,
                creator_id=creator_id,
                secret_creator_id=secret_creator_id,
                size=MOST,
            )
        )
        return page.records, bool(page.next_page_token)

    async def key(self, workspace_id: str, key_id: str) -> Key:
        """A key of this workspace; another workspace's is as missing as one that never was."""
        key = await self.call(keys.get(key_id))
        if key.workspace_id != workspace_id:
            raise MissingError("no such key", grpc.StatusCode.NOT_FOUND, Reason.KEY_NOT_FOUND)
        return key

    async def some_keys(self, workspace_id: str, ids: Sequence[str]) -> list[Key]:
        """Those of the keys that there are in the workspace."""
        return [
            key
            for batch in _batches(ids)
            for key in await self.call(keys.get_all(batch))
            if key.workspace_id == workspace_id
        ]


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(ids), MOST):
        yield ids[first : first + MOST]
