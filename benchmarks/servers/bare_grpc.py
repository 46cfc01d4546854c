"""A bare grpc.aio server that answers every `Verify` with a prebuilt reply: PORT, REPLY FILE."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

from keyauthority.rpc.listening import channel_options
from keyauthority.v1.verification_service_pb2 import VerifyRequest, VerifyResponse
from keyauthority.v1.verification_service_pb2_grpc import (
    VerificationServiceServicer,
    add_VerificationServiceServicer_to_server,
)


class _Prebuilt(VerificationServiceServicer):
    def __init__(self, reply: VerifyResponse) -> None:
        self._reply = reply

    async def Verify(self, request: VerifyRequest, context: Any) -> VerifyResponse:  # noqa: N802
        return self._reply

    async def _no(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)

    BatchVerify = Sync = Leave = RevokePresented = _no


async def _serve(port: str, reply: VerifyResponse) -> None:
    server = grpc.aio.server(options=channel_options(connections=100))
    add_VerificationServiceServicer_to_server(_Prebuilt(reply), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], VerifyResponse.FromString(Path(sys.argv[2]).read_bytes())))
