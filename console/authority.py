"""The key authority, called for a person, whom its audit then names."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.client import Secret
from keyauthority.client.admin import (
    AdminClient,
    AuthorityError,
    Call,
    CredentialError,
    Group,
    Key,
    MissingError,
    Person,
    Reason,
    UnavailableError,
    Usage,
    Workspace,
    keys,
    ledger,
    workspaces,
)
from keyauthority.client.admin.calling import Result

MOST_KEYS: Final = 1_000
"""The newest keys of a workspace that pages list; one call reads or revokes so many."""
_MOST_NAMES: Final = 1_000
_SUMMING: Final = 2.0
"""Seconds that a page waits for sums that it can do without."""

_log = structlog.get_logger("console.authority")


class CreditsUnknownError(Exception):
    """The authority tells this console nothing about credits.

    `role_missing` says that the console's caller lacks the role `biller`; otherwise the authority is
    older than credits.
    """

    def __init__(self, *, role_missing: bool) -> None:
        super().__init__(role_missing)
        self.role_missing = role_missing


class Authority:
    """The authority behind *channel*, which the console calls with *token*."""

    def __init__(self, channel: grpc.aio.Channel, token: Secret) -> None:
        self._client = AdminClient(channel, token)
        self._health: Any = HealthStub(channel)
        # A caller's roles never change: the authority is asked, and audits the refusal, only once.
        self.lacks_biller = False

    def acting_for(self, person: Person | None, request_id: str) -> Acting:
        """Returns the authority, called for *person* during one request."""
        return Acting(self, self._client.acting_for(person, request_id))

    async def healthy(self) -> bool:
        """Returns whether the authority says that it serves."""
        try:
            answer = await self._health.Check(HealthCheckRequest(), timeout=1)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == HealthCheckResponse.SERVING)


class Acting:
    """The authority during one request of one person. Every call raises `AuthorityError`."""

    def __init__(self, authority: Authority, client: AdminClient) -> None:
        self._authority = authority
        self._client = client
        # A request waits for an authority that is away only once.
        self._outage: UnavailableError | None = None

    async def call(self, call: Call[Result]) -> Result:
        """Returns the result of *call*. A refusal of the console's own credential is an outage."""
        if self._outage is not None:
            raise self._outage
        try:
            return await self._client.call(call)
        except (UnavailableError, CredentialError) as error:
            raise self._note_outage(error) from None

    async def ledger(self, call: Call[Result]) -> Result:
        """Returns the result of a *call* about credits. Raises `CreditsUnknownError` too."""
        if self._authority.lacks_biller:
            raise CreditsUnknownError(role_missing=True)
        if self._outage is not None:
            raise self._outage
        try:
            return await self._client.call(call)
        except (UnavailableError, CredentialError) as error:
            if error.reason is Reason.ROLE_MISSING:
                self._authority.lacks_biller = True
                _log.warning("role_missing", role="biller")
                raise CreditsUnknownError(role_missing=True) from None
            if error.code is grpc.StatusCode.UNIMPLEMENTED:
                raise CreditsUnknownError(role_missing=False) from None
            raise self._note_outage(error) from None

    async def usage(
        self,
        workspace_id: str,
        *,
        start: datetime,
        end: datetime,
        by: Sequence[Group] = (),
        time_zone: str = "",
    ) -> Usage | None:
        """Returns what a workspace's charges come to; None if that can't be had soon.

        Pages are shown without it, so its failure is no outage.
        """
        if self._authority.lacks_biller:
            return None
        call = ledger.usage(workspace_id, start=start, end=end, by=by, time_zone=time_zone)
        try:
            async with asyncio.timeout(_SUMMING):
                return await self._client.call(call)
        except (AuthorityError, TimeoutError) as error:
            reason = error.reason if isinstance(error, AuthorityError) else None
            self._authority.lacks_biller |= reason is Reason.ROLE_MISSING
            _log.warning("usage_unknown", reason=reason.name if reason is not None else "")
            return None

    def _note_outage(self, error: AuthorityError) -> UnavailableError:
        reason = error.reason.name if error.reason is not None else ""
        _log.warning("authority_call_failed", code=error.code.name, reason=reason)
        self._outage = UnavailableError(error.message, error.code, error.reason)
        return self._outage

    async def workspaces(self, ids: Sequence[str]) -> list[Workspace]:
        """Returns the workspaces of *ids* that exist, in that order."""
        return [
            workspace
            for batch in _batches(ids)
            for workspace in await self.call(workspaces.get_all(batch))
        ]

    async def keys(
        self,
        workspace_id: str,
        *,
        name_contains: str = "",
        creator_id: str = "",
        secret_creator_id: str = "",
    ) -> tuple[Sequence[Key], bool]:
        """Returns the newest keys of a workspace, and whether it has more."""
        page = await self.call(
            keys.page(
                workspace_id,
                name_contains=name_contains,
                creator_id=creator_id,
                secret_creator_id=secret_creator_id,
                size=MOST_KEYS,
            )
        )
        return page.records, bool(page.next_page_token)

    async def key(self, workspace_id: str, key_id: str) -> Key:
        """Returns a key of this workspace. Raises `MissingError` for another workspace's."""
        key = await self.call(keys.get(key_id))
        if key.workspace_id != workspace_id:
            raise MissingError("no such key", grpc.StatusCode.NOT_FOUND, Reason.KEY_NOT_FOUND)
        return key

    async def some_keys(self, workspace_id: str, ids: Sequence[str]) -> list[Key]:
        """Returns the keys of *ids* that exist in the workspace."""
        return [
            key
            for batch in _batches(ids)
            for key in await self.call(keys.get_all(batch))
            if key.workspace_id == workspace_id
        ]


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(ids), MOST_KEYS):
        yield ids[first : first + MOST_KEYS]


class Names:
    """The last known names of workspaces and keys, for forms shown while the authority is away."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, str] = OrderedDict()

    def remember(self, place: str, name: str) -> None:
        """Keeps the name of a workspace, or of a key as `WORKSPACE/KEY`; drops the oldest of many.

        A key's name is found only under its workspace: nobody reads it by the key's id elsewhere.
        """
        self._names[place] = name
        self._names.move_to_end(place)
        while len(self._names) > _MOST_NAMES:
            self._names.popitem(last=False)

    def get(self, place: str) -> str:
        """Returns the last known name; the id if there is none."""
        return self._names.get(place, place.rpartition("/")[2])
