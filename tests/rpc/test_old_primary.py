"""A process that is left with a server that was the primary once, and takes itself for it still."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc.aio
import pytest

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.domain.callers import Role
from keyauthority.server import serving
from keyauthority.storage import maintenance
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    IssueKeyRequest,
    ListKeysRequest,
    LookupKeyRequest,
    RevokeKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.verification_service_pb2 import VerifyRequest
from keyauthority.v1.workspace_service_pb2 import GetWorkspaceRequest
from tests.postgres import Pair, a_pair
from tests.rpc.parts import Api, Authority, eventually, issue, reason, refusal, settings_in


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with a_pair() as made:
        await maintenance.lease(made.here, timedelta(milliseconds=500))
        yield made


async def started(running: AsyncExitStack, folder: Path, url: PostgresUrl) -> Authority:
    settings = replace(settings_in(folder), database=url)
    port = await running.enter_async_context(serving(settings))
    channel = await running.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
    token = settings.root_token.read_text().strip()
    return Authority(settings, port, Api(channel, token))


async def test_it_says_nothing_definite(
    pair: Pair, tmp_path: Path, running: AsyncExitStack
) -> None:
    """Neither that a live key does not exist, nor that a caller is unknown, nor what there is."""
    left = await started(running, tmp_path, pair.here)
    workspace = await left.workspace()
    old = await issue(left.root, workspace)
    pair.standby.promote()
    new = await started(running, tmp_path, pair.there)
    issued = await issue(new.root, workspace)
    caller = await new.caller(Role.ISSUER)

    async def has_lost_its_lease() -> bool:
        try:
            await left.root(VerifyRequest(secret=old.secret, fresh=True), timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE
        return False

    await eventually(has_lost_its_lease)

    stranger = Api(left.root.channel, caller.token)
    for call in (
        left.root(RevokeKeyRequest(key_id=issued.key.id)),
        left.root(UpdateKeyRequest(key=Key(id=old.key.id, name="new"))),
        left.root(IssueKeyRequest(workspace_id=workspace, name="a key")),
        left.root(GetKeyRequest(key_id=issued.key.id)),
        left.root(GetKeyRequest(key_id=old.key.id)),
        left.root(LookupKeyRequest(secret=issued.secret)),
        left.root(ListKeysRequest(workspace_id=workspace)),
        left.root(GetWorkspaceRequest(workspace_id=workspace)),
        stranger(GetKeyRequest(key_id=issued.key.id)),
    ):
        # Or that there is no database, if it needs a connection that this server lets nobody make.
        assert (await refusal(call)).code is grpc.StatusCode.UNAVAILABLE
    # What is wrong with a call is wrong in any books.
    assert await reason(left.root(ListKeysRequest(page_size=-1))) == "FIELD_INVALID"
    anonymous = Api(left.root.channel)
    assert await reason(anonymous(GetKeyRequest(key_id=old.key.id))) == "CREDENTIAL_MISSING"
    # So that the stop waits for no confirmation of what the last calls left to be written.
    pair.primary.stop(signal.SIGQUIT)
