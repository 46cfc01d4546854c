"""All processes of an authority, as one who calls whichever answers sees them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyauthority.client.channel import connect
from keyauthority.v1.caller_service_pb2_grpc import CallerServiceStub
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.operations_service_pb2_grpc import OperationsServiceStub
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub


@dataclass(slots=True)
class Authority:
    """One process, as whoever calls it sees it."""

    name: str
    callers: Any
    keys: Any
    verification: Any
    workspaces: Any
    operations: Any


class Authorities:
    """Calls any of them, each time another one."""

    def __init__(self, addresses: list[str], tls_ca: Path | None, token: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.metadata = (("authorization", f"Bearer {token}"),)
        self._channels = [connect(address, tls_ca=tls_ca) for address in addresses]
        self.all = [
            Authority(
                f"authority {number}",
                CallerServiceStub(channel),
                KeyServiceStub(channel),
                VerificationServiceStub(channel),
                WorkspaceServiceStub(channel),
                OperationsServiceStub(channel),
            )
            for number, channel in enumerate(self._channels, 1)
        ]

    def any(self) -> Authority:
        return self.random.choice(self.all)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()
