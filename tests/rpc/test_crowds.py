"""Very many calls that come in the same moment."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import grpc.aio

from keyauthority.v1.operations_service_pb2 import ListPeppersRequest
from keyauthority.v1.verification_service_pb2 import SyncRequest
from tests.rpc.parts import Api, Authority
from tests.rpc.syncing import started

CALLS = 3_600
"""More than gRPC lets wait by itself."""

STREAMS = 900
"""Calls on one connection."""


async def outcome(api: Api) -> str:
    try:
        await api(SyncRequest(name="verifier"), timeout=60)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "joined"


async def test_a_crowd_of_joins_resets_nobodys_call(authority: Authority) -> None:
    """Those that are too many are told so, and a call of another kind is answered."""
    local = [("grpc.use_local_subchannel_pool", 1)]
    address = f"127.0.0.1:{authority.port}"
    channels = [grpc.aio.insecure_channel(address, options=local) for _ in range(CALLS // STREAMS)]
    try:
        callers = [Api(channel, authority.root.token) for channel in channels]
        for caller in callers:
            await caller(ListPeppersRequest())
        joins = [asyncio.create_task(outcome(caller)) for caller in callers for _ in range(STREAMS)]
        await asyncio.sleep(0)
        other = started(authority.root(ListPeppersRequest(), timeout=60))
        await asyncio.sleep(0)
        # All arrive while the authority is busy with something else.
        time.sleep(2.0)  # noqa: ASYNC251
        assert (await other).peppers
        outcomes = Counter(await asyncio.gather(*joins))
    finally:
        for channel in channels:
            await channel.close()
    assert outcomes.keys() == {"joined", "RESOURCE_EXHAUSTED"}, outcomes
    assert outcomes["joined"] >= 1_000 - 1
