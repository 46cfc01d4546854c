"""What stands around an edge under test: clients' keys, the authority, the gateway, and the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc.aio
from prometheus_client import CollectorRegistry

from gateway.app import running
from keyauthority.base.process.files import write_private
from keyauthority.domain.callers import Role
from keyauthority.server import serving
from keyauthority.v1.key_service_pb2 import RevokeKeyRequest
from keyauthority.v1.wire import timestamp
from keyauthority.v1.workspace_service_pb2 import UpdateWorkspaceRequest, Workspace
from tests.conformance.records import ManualClock
from tests.gateway.parts import FakeUpstream, new_secret, settings_of, upstream_serving
from tests.ports import free_port
from tests.rpc.parts import Api, Authority, file_of, issue, settings_in
from tests.sqlite import new_books

PIECE = 1 << 16


class Relay:
    """Carries connections to a server; while that is gone, nobody listens at `port`."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def come(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def go(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader_there, writer_there = await asyncio.open_connection("127.0.0.1", self._target)
        ends = {writer, writer_there}
        self._writers |= ends
        try:
            await asyncio.gather(_pass(reader, writer_there), _pass(reader_there, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(PIECE):
            writer.write(data)
    writer.close()


@dataclass(frozen=True)
class Keys:
    """Secrets, by what becomes of them."""

    good: str
    scoped: str
    revoked: str
    expired: str
    suspended: str
    unknown: str


@dataclass(frozen=True)
class Stage:
    """All that an edge is between."""

    authority: Authority
    # What edges present to the authority.
    token: str
    workspace_id: str
    keys: Keys
    api: FakeUpstream
    # The ways to the gateway and to the authority.
    gateway_relay: Relay
    authority_relay: Relay

    @asynccontextmanager
    async def without_verdicts(self) -> AsyncIterator[None]:
        """The gateway and the authority are gone."""
        relays = (self.gateway_relay, self.authority_relay)
        for relay in relays:
            await relay.go()
        try:
            yield
        finally:
            for relay in relays:
                await relay.come()

    async def revoke(self, key_id: str) -> None:
        await self.authority.root(RevokeKeyRequest(key_id=key_id))


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    """Everything but the edge, with its files in *folder*."""
    async with AsyncExitStack() as stack:
        settings, clock = settings_in(folder), ManualClock()
        new_books(file_of(settings))
        registry = CollectorRegistry()
        port = await stack.enter_async_context(serving(settings, clock, registry=registry))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        await stack.enter_async_context(channel)
        root = Api(channel, settings.root_token.read_text().strip())
        authority = Authority(settings, port, root)
        workspace_id = await authority.workspace()
        keys = await _keys(authority, workspace_id, clock)
        verifier = await authority.caller(Role.VERIFIER)
        write_private(folder / "gateway.token", verifier.token + "\n")
        api = await stack.enter_async_context(upstream_serving())
        gateway = settings_of(
            authority=f"127.0.0.1:{port}",
            token_file=folder / "gateway.token",
            upstream=api.url,
            grace=0.2,
            access_log=False,
        )
        gateway_port = await stack.enter_async_context(running(gateway))
        relays = Relay(gateway_port), Relay(port)
        for relay in relays:
            await relay.come()
            stack.push_async_callback(relay.go)
        yield Stage(authority, verifier.token, workspace_id, keys, api, *relays)


async def _keys(authority: Authority, workspace_id: str, clock: ManualClock) -> Keys:
    root, elsewhere = authority.root, await authority.workspace("elsewhere")
    revoked = await issue(root, workspace_id)
    await root(RevokeKeyRequest(key_id=revoked.key.id))
    hour = timedelta(hours=1)
    expired = await issue(root, workspace_id, expire_time=timestamp(clock.now() + hour))
    clock.time += 2 * hour
    suspended = await issue(root, elsewhere)
    change = UpdateWorkspaceRequest(workspace=Workspace(id=elsewhere, suspended=True))
    change.update_mask.paths.append("suspended")
    await root(change)
    return Keys(
        good=(await issue(root, workspace_id)).secret,
        scoped=(await issue(root, workspace_id, scopes=["chat:write", "models:read"])).secret,
        revoked=revoked.secret,
        expired=expired.secret,
        suspended=suspended.secret,
        unknown=new_secret(),
    )
