"""Verifiers that sync as the test says, and no more."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from keyauthority.v1.operations_service_pb2 import ListSessionsRequest
from keyauthority.v1.verification_service_pb2 import SyncRequest, SyncResponse
from tests.rpc.parts import Api, eventually


async def join(api: Api, name: str = "verifier") -> SyncResponse:
    """A new session, which has acknowledged nothing yet."""
    granted: SyncResponse = await api(SyncRequest(name=name))
    return granted


def acknowledging(granted: SyncResponse, wait: timedelta = timedelta()) -> SyncRequest:
    """The request that says that what *granted* told is applied."""
    request = SyncRequest(
        session_id=granted.session_id, epoch=granted.epoch, revision=granted.revision
    )
    request.wait.FromTimedelta(wait)
    return request


async def joined(api: Api) -> SyncResponse:
    """A new session that knows of everything."""
    granted: SyncResponse = await api(acknowledging(await join(api)))
    return granted


def started(call: Any) -> asyncio.Future[Any]:
    """*call*, under way."""
    task: asyncio.Future[Any] = asyncio.ensure_future(call)
    return task


async def spreads(change: asyncio.Future[Any]) -> None:
    """Returns after a while in which *change* did not."""
    await asyncio.sleep(0.1)
    assert not change.done()


async def sessions(root: Api) -> list[str]:
    """The ids of the verifiers' sessions."""
    listed = await root(ListSessionsRequest())
    return [one.id for one in listed.sessions if one.caller_id]


async def until_removed(root: Api) -> None:
    """Returns when nobody has a session any more."""

    async def gone() -> bool:
        return not await sessions(root)

    await eventually(gone)
