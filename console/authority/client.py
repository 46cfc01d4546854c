"""Calls to the authority, each made for a person, who stands in its audit beside the console."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from console.authority.failures import MissingError, UnavailableError, in_our_words
from keyauthority.client import Secret, bearer_metadata, person_metadata
from keyauthority.v1 import audit_service_pb2 as audit_v1
from keyauthority.v1 import key_pb2
from keyauthority.v1 import key_service_pb2 as keys_v1
from keyauthority.v1 import workspace_service_pb2 as workspaces_v1
from keyauthority.v1.audit_service_pb2_grpc import AuditServiceStub
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub

if TYPE_CHECKING:
    from grpc.aio import UnaryUnaryMultiCallable

    from keyauthority.v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from keyauthority.v1.key_service_pb2_grpc import KeyServiceAsyncStub
    from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceAsyncStub

Asked = TypeVar("Asked")
Told = TypeVar("Told")

READING: Final = 5.0
"""Seconds for an answer that only has to be read."""
CHANGING: Final = 12.0
"""Seconds for a change: more than it waits for a verifier that is cut off, with the usual lease."""
SEVERAL: Final = 10
"""How many things are read at once that are read one by one."""
MOST_KEYS: Final = 1_000
"""How many keys of a workspace the pages look at: the newest."""


class Authority:
    """The authority behind *channel*, which the console calls with *token*."""

    def __init__(self, channel: grpc.aio.Channel, token: Secret) -> None:
        self._token = bearer_metadata(token)
        # The authority refuses what is too much at once, and other pages are waiting too.
        self._several = asyncio.Semaphore(SEVERAL)
        self._health: Any = HealthStub(channel)
        self.keys: KeyServiceAsyncStub = KeyServiceStub(channel)
        self.workspaces: WorkspaceServiceAsyncStub = WorkspaceServiceStub(channel)
        self.audit: AuditServiceAsyncStub = AuditServiceStub(channel)

    def acting_for(self, person_id: str, name: str, request_id: str) -> Acting:
        """The authority, called for somebody in the course of one request."""
        person = person_metadata(person_id, name) if person_id else ()
        return Acting(self, (*self._token, ("x-request-id", request_id), *person))

    @asynccontextmanager
    async def one_of_several(self) -> AsyncIterator[None]:
        """A place among those who read much at once. Raises `UnavailableError` if there is none."""
        try:
            async with asyncio.timeout(READING):
                await self._several.acquire()
        except TimeoutError:
            raise UnavailableError("no place in time") from None
        try:
            yield
        finally:
            self._several.release()

    async def healthy(self) -> bool:
        """Whether it says that it can do its work."""
        try:
            answer = await self._health.Check(HealthCheckRequest(), timeout=1)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == HealthCheckResponse.SERVING)


class Acting:
    """What can be asked of the authority for one person. Everything raises `AuthorityError`."""

    def __init__(self, authority: Authority, metadata: tuple[tuple[str, str | bytes], ...]) -> None:
        self._authority = authority
        self._metadata = metadata
        # Whether it gave no answer before: who waited once in this request doesn't wait again.
        self._away = False

    async def workspace(self, workspace_id: str) -> workspaces_v1.Workspace:
        """One workspace."""
        request = workspaces_v1.GetWorkspaceRequest(workspace_id=workspace_id)
        return (await self._read(self._authority.workspaces.GetWorkspace, request)).workspace

    async def workspaces(self, ids: Iterable[str]) -> list[workspaces_v1.Workspace]:
        """The workspaces of *ids* that there are, in that order."""
        found = await asyncio.gather(*(self._workspace_or_none(one) for one in ids))
        return [one for one in found if one is not None]

    async def workspace_page(
        self, size: int, token: str = ""
    ) -> workspaces_v1.ListWorkspacesResponse:
        """Workspaces, newest first, and the token of the next page."""
        request = workspaces_v1.ListWorkspacesRequest(page_size=size, page_token=token)
        return await self._read(self._authority.workspaces.ListWorkspaces, request)

    async def create_workspace(self, name: str) -> workspaces_v1.Workspace:
        """A new workspace."""
        request = workspaces_v1.CreateWorkspaceRequest(name=name)
        return (await self._change(self._authority.workspaces.CreateWorkspace, request)).workspace

    async def suspend(
        self, workspace_id: str, *, suspended: bool
    ) -> workspaces_v1.UpdateWorkspaceResponse:
        """Suspends or resumes a workspace; returns when every verifier knows."""
        changed = workspaces_v1.Workspace(id=workspace_id, suspended=suspended)
        request = workspaces_v1.UpdateWorkspaceRequest(
            workspace=changed, update_mask=FieldMask(paths=["suspended"])
        )
        return await self._change(self._authority.workspaces.UpdateWorkspace, request)

    async def keys(
        self,
        workspace_id: str,
        *,
        name_contains: str = "",
        creator_id: str = "",
        secret_creator_id: str = "",
    ) -> tuple[list[key_pb2.Key], bool]:
        """The newest keys of a workspace, and whether there are more than was looked at."""
        request = keys_v1.ListKeysRequest(
            workspace_id=workspace_id,
            name_contains=name_contains,
            creator_id=creator_id,
            secret_creator_id=secret_creator_id,
            page_size=MOST_KEYS,
        )
        listed = await self._read(self._authority.keys.ListKeys, request)
        return list(listed.keys), bool(listed.next_page_token)

    async def key(self, workspace_id: str, key_id: str) -> key_pb2.Key:
        """A key of this workspace; another workspace's is as missing as one that never was."""
        request = keys_v1.GetKeyRequest(key_id=key_id)
        found = (await self._read(self._authority.keys.GetKey, request)).key
        if found.workspace_id != workspace_id:
            raise MissingError(key_id)
        return found

    async def some_keys(self, workspace_id: str, key_ids: Iterable[str]) -> list[key_pb2.Key]:
        """Those of the keys that there are in the workspace."""
        found = await asyncio.gather(*(self._key_or_none(workspace_id, one) for one in key_ids))
        return [key for key in found if key is not None]

    async def issue(
        self,
        workspace_id: str,
        name: str,
        expire_time: datetime | timedelta | None,
        scopes: Sequence[str],
        request_id: str,
    ) -> keys_v1.IssueKeyResponse:
        """A new key and its secret; the same again for the same *request_id*."""
        request = keys_v1.IssueKeyRequest(
            workspace_id=workspace_id, name=name, scopes=scopes, request_id=request_id
        )
        if isinstance(expire_time, timedelta):
            request.ttl.FromTimedelta(expire_time)
        elif expire_time is not None:
            request.expire_time.FromDatetime(expire_time)
        return await self._change(self._authority.keys.IssueKey, request)

    async def rotate(
        self, key_id: str, overlap: timedelta, request_id: str
    ) -> keys_v1.RotateKeyResponse:
        """A second secret for a key; the same again for the same *request_id*."""
        request = keys_v1.RotateKeyRequest(key_id=key_id, request_id=request_id)
        request.overlap.FromTimedelta(overlap)
        return await self._change(self._authority.keys.RotateKey, request)

    async def update(self, key: key_pb2.Key, *fields: str) -> keys_v1.UpdateKeyResponse:
        """Changes the named *fields*; with an etag only if nobody else changed it meanwhile."""
        request = keys_v1.UpdateKeyRequest(key=key, update_mask=FieldMask(paths=fields))
        return await self._change(self._authority.keys.UpdateKey, request)

    async def revoke(
        self, key_id: str, reason: key_pb2.RevocationReason.ValueType, note: str
    ) -> keys_v1.RevokeKeyResponse:
        """Revokes a key; when it returns no verifier accepts it."""
        request = keys_v1.RevokeKeyRequest(key_id=key_id, reason=reason, note=note)
        return await self._change(self._authority.keys.RevokeKey, request)

    async def revoke_all(
        self, key_ids: Sequence[str], reason: key_pb2.RevocationReason.ValueType, note: str
    ) -> keys_v1.RevokeKeysResponse:
        """Revokes several keys behind one wait."""
        request = keys_v1.RevokeKeysRequest(key_ids=key_ids, reason=reason, note=note)
        return await self._change(self._authority.keys.RevokeKeys, request)

    async def entries(
        self, request: audit_v1.ListAuditEntriesRequest
    ) -> audit_v1.ListAuditEntriesResponse:
        """What was done, newest first."""
        return await self._read(self._authority.audit.ListAuditEntries, request)

    async def _workspace_or_none(self, workspace_id: str) -> workspaces_v1.Workspace | None:
        try:
            async with self._authority.one_of_several():
                return await self.workspace(workspace_id)
        except MissingError:
            return None

    async def _key_or_none(self, workspace_id: str, key_id: str) -> key_pb2.Key | None:
        try:
            async with self._authority.one_of_several():
                return await self.key(workspace_id, key_id)
        except MissingError:
            return None

    async def _read(self, method: UnaryUnaryMultiCallable[Asked, Told], request: Asked) -> Told:
        return await self._call(method, request, READING)

    async def _change(self, method: UnaryUnaryMultiCallable[Asked, Told], request: Asked) -> Told:
        return await self._call(method, request, CHANGING)

    async def _call(
        self, method: UnaryUnaryMultiCallable[Asked, Told], request: Asked, seconds: float
    ) -> Told:
        if self._away:
            raise UnavailableError("it gave no answer before")
        try:
            with in_our_words():
                return await method(request, metadata=self._metadata, timeout=seconds)
        except UnavailableError:
            self._away = True
            raise
