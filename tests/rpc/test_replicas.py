"""Several processes of the authority over one PostgreSQL database."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import grpc.aio
import pytest

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.server import migrate, serving
from keyauthority.v1.key_service_pb2 import IssueKeyRequest, RevokeKeyRequest
from keyauthority.v1.verification_service_pb2 import Verdict, VerifyRequest
from tests.postgres import empty_database
from tests.rpc.parts import Api, Authority, settings_in


@pytest.fixture
async def replicas(tmp_path: Path, running: AsyncExitStack) -> list[Authority]:
    """Three that were started at once over a database without books."""
    url = (await empty_database()).reveal().replace("postgres@", "postgres:not-shown@")
    settings = replace(settings_in(tmp_path), database=PostgresUrl(url))
    assert "not-shown" not in f"{settings!r} {settings.database}"
    await asyncio.to_thread(migrate, settings.database)
    ports = await asyncio.gather(
        *(running.enter_async_context(serving(settings)) for _ in range(3))
    )
    token = settings.root_token.read_text().strip()
    channels = [
        await running.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        for port in ports
    ]
    return [
        Authority(settings, port, Api(channel, token))
        for port, channel in zip(ports, channels, strict=True)
    ]


async def test_what_one_does_all_know(replicas: list[Authority]) -> None:
    """A key issued by one is valid at all; revoked by another, it is refused by all at once."""
    one, two, three = replicas
    workspace = await one.workspace()
    issued = await one.root(IssueKeyRequest(workspace_id=workspace, name="a key"))
    for _ in range(2):  # the second time from memory
        for replica in replicas:
            answer = await replica.root(VerifyRequest(secret=issued.secret))
            assert answer.verdict == Verdict.VERDICT_VALID

    revoked = await two.root(RevokeKeyRequest(key_id=issued.key.id))

    for replica in (three, one, two):
        answer = await replica.root(VerifyRequest(secret=issued.secret))
        assert answer.verdict == Verdict.VERDICT_REVOKED
    assert revoked.receipt.sessions_acknowledged + revoked.receipt.leases_waited_out == 3
